"""docker/compose.yaml as the engine would read it: merged, with its variables put in."""

import re
from collections.abc import Mapping
from typing import Any

from ops.live import ROOT
from ops.yaml_files import read_yaml

COMPOSE = ROOT / "docker" / "compose.yaml"
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")

Service = dict[str, Any]


class Unset(ValueError):
    """A variable that must be set is not."""


def compose(environment: Mapping[str, str]) -> dict[str, Any]:
    """The whole file with ``environment`` put in. Raises Unset with the file's own words."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if environment.get(name):
            return environment[name]
        if kind == ":-":
            return str(rest)
        raise Unset(f"{name}: {rest}")

    def put_in(part: Any) -> Any:
        match part:
            case str():
                return _VARIABLE.sub(value, part)
            case list():
                return [put_in(one) for one in part]
            case dict():
                return {key: put_in(one) for key, one in part.items()}
            case _:
                return part

    read: dict[str, Any] = put_in(read_yaml(COMPOSE))
    return read


def services(**environment: str) -> dict[str, Service]:
    """The services by name, with a password for Grafana unless told."""
    found: dict[str, Service] = compose({"GRAFANA_PASSWORD": "told", **environment})["services"]
    return found


def kafka_properties(environment: Mapping[str, str]) -> dict[str, str]:
    """The server's properties, as the image makes them: KAFKA_A_B is a.b."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith("KAFKA_")
    }
