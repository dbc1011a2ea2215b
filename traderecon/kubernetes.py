"""Kubernetes: the variables it sets in every container for each Service of the namespace.

A Service named ``traderecon`` adds ``TRADERECON_SERVICE_HOST``, ``TRADERECON_PORT=tcp://10.0.0.1:5000`` and more; one
named ``traderecon-web`` adds ``TRADERECON_WEB_PORT=tcp://...``. They look like settings but are not.
"""

import re

_ADDRESS = r"(tcp|udp|sctp)://\S+:\d+"
_SERVICE_VARIABLES = tuple(
    (re.compile(rf"[A-Z0-9_]+_{name}"), re.compile(value))
    for name, value in (
        ("SERVICE_HOST", r"[0-9A-Fa-f.:]+|None"),
        ("SERVICE_PORT(_[A-Z0-9_]+)?", r"\d+"),
        ("PORT", _ADDRESS),
        (r"PORT_\d+_(TCP|UDP|SCTP)", _ADDRESS),
        (r"PORT_\d+_(TCP|UDP|SCTP)_PROTO", "tcp|udp|sctp"),
        (r"PORT_\d+_(TCP|UDP|SCTP)_PORT", r"\d+"),
        (r"PORT_\d+_(TCP|UDP|SCTP)_ADDR", r"[0-9A-Fa-f.:]+"),
    )
)


def is_service_variable(name: str, value: str) -> bool:
    """Whether Kubernetes set a variable for a Service, judged by its name and the form of its value.

    >>> is_service_variable("TRADERECON_PORT", "tcp://10.0.0.1:5000"), is_service_variable("TRADERECON_PORT", "5000")
    (True, False)
    """
    return any(names.fullmatch(name) and values.fullmatch(value) for names, values in _SERVICE_VARIABLES)
