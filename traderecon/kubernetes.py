"""Kubernetes: the variables it puts into every container, one family for each Service of the namespace.

A Service named ``traderecon`` makes ``TRADERECON_SERVICE_HOST``, ``TRADERECON_PORT=tcp://10.0.0.1:5000`` and more; one
named ``traderecon-web`` makes ``TRADERECON_WEB_PORT=tcp://...``. None of them is a setting of ours.
"""

import re

_ADDRESS = r"(tcp|udp|sctp)://\S+:\d+"
_FAMILY = tuple(
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


def injected(name: str, value: str) -> bool:
    """Whether a variable is of the family that Kubernetes makes for a Service, by its name and the form of its value.

    >>> injected("TRADERECON_PORT", "tcp://10.0.0.1:5000"), injected("TRADERECON_PORT", "5000")
    (True, False)
    """
    return any(shape.fullmatch(name) and form.fullmatch(value) for shape, form in _FAMILY)
