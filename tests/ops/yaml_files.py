"""YAML files read and written."""

from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path) -> Any:
    """What a file says, its anchors merged."""
    return yaml.safe_load(path.read_text())


def write_yaml(path: Path, said: object) -> None:
    """Say it in a file."""
    path.write_text(yaml.safe_dump(said))
