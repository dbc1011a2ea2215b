"""Settings: what an installation decides. The only reader of the environment.

    TRADERECON_* in the environment, then files in TRADERECON_SECRETS_DIR, then traderecon.toml, then the defaults

Source: CONTRACT.md, Configuration.
"""

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

PREFIX = "TRADERECON_"
FILE = Path("traderecon.toml")

_PASSWORD = re.compile(r"(^[^:]+://[^:@/]*:).*(?=@)|(?<=password=)[^&]*")


_WRITTEN = {
    "broker": "write embedded:// or kafka://host:9092, several hosts with ; between them",
    "database_url": "write sqlite:///path or postgresql://host/name",
    "topic_prefix": "write at most 100 letters, digits, points, underscores and hyphens",
}
"""What to write where a text has another form."""


class ConfigurationError(Exception):
    """A setting that cannot be used: which, what was found, and what to write."""


class Settings(BaseSettings):
    """Every setting with its default. Read them with ``load``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True, use_attribute_docstrings=True
    )

    broker: Annotated[str, Field(pattern=r"^(embedded://|kafka://[^\s/;]+(;(kafka://)?[^\s/;]+)*)$")] = "embedded://"
    """``embedded://``, or ``kafka://host:9092`` (several hosts: ``;`` between them)."""
    data_dir: Path = Path("traderecon-data")
    """Embedded log, database and tables."""
    database_url: Annotated[str, Field(pattern=r"^(|sqlite:///\S.*|postgresql://\S+)$")] = ""
    """``sqlite:///path`` or ``postgresql://...``; empty: ``traderecon.db`` in the data directory."""
    web_host: str = "127.0.0.1"
    """Where the pages listen; loopback unless authentication is on."""
    web_port: Annotated[int, Field(ge=1, le=65_535)] = 5000
    """The port; taken and not asked for by name: the next free one."""
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    """Before every topic name and application id."""
    topic_partitions: Annotated[int, Field(ge=1, le=4_096)] = 4
    """Partitions of the topics that are ours to create."""
    grace_seconds: Annotated[int, Field(ge=0, le=31_536_000)] = 60
    """One leg waits this long for the other."""
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 35
    """How long a trade is kept after its last fact; the input topics and the journal keep records a week longer."""
    rules: Path | None = None
    """A rules file (TOML); none: the founding rules."""
    secrets_dir: Path | None = None
    """A directory with one file per secret, named like the variable."""

    @model_validator(mode="after")
    def _database_beside_the_data(self) -> Self:
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.data_dir / 'traderecon.db'}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then secrets, then the file."""
        return env_settings, file_secret_settings, TomlConfigSettingsSource(settings_cls, toml_file=FILE)

    def shown(self) -> dict[str, Any]:
        """Every setting as text that may be printed: a password in a URL is masked."""
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in self}
        return {**plain, **{name: _PASSWORD.sub(r"\1****", plain[name]) for name in ("broker", "database_url")}}


def load(given: Mapping[str, str] | None = None) -> Settings:
    """The effective settings; ConfigurationError names the setting that is wrong.

    ``given``: settings that somebody named on the spot (``DATA_DIR``, ...), before everything else.
    """
    os.environ.update({PREFIX + name: value for name, value in (given or {}).items()})
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name.removeprefix(PREFIX).upper(), [one.removeprefix(PREFIX) for one in known], 1)
            raise ConfigurationError(f"{name} is no setting" + (f": did you mean {PREFIX}{near[0]}?" if near else ""))
    try:
        in_file = tomllib.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{FILE}: {error}") from None
    secrets_dir = os.environ.get(PREFIX + "SECRETS_DIR") or in_file.get("secrets_dir")
    if secrets_dir is not None and not Path(str(secrets_dir)).is_dir():
        raise ConfigurationError(f"{PREFIX}SECRETS_DIR is {secrets_dir!r}: there is no such directory")
    try:
        return Settings(_secrets_dir=secrets_dir)  # type: ignore[call-arg]  # pydantic-settings takes it, unannounced
    except ValidationError as error:
        raise ConfigurationError(
            "; ".join(_sentence(detail["loc"], detail["type"], detail["msg"]) for detail in error.errors())
        ) from None
    except (SettingsError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{error}: a secret is a file of UTF-8 text") from None


def has_screen() -> bool:
    """Whether a browser has a screen to open on; a text browser in this terminal is none."""
    return sys.platform in {"darwin", "win32"} or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))


def _sentence(place: tuple[int | str, ...], kind: str, message: str) -> str:
    """What is wrong with which setting; never its value, which may be secret."""
    name = ".".join(str(part) for part in place)
    if kind == "string_pattern_mismatch":
        message = _WRITTEN[name]
    elif kind in {"int_parsing", "int_from_float"}:
        message = "write a whole number"
    if kind == "extra_forbidden":
        near = get_close_matches(name, Settings.model_fields, 1)
        message = f"{FILE} names it, and it is no setting" + (f": did you mean {near[0]}?" if near else "")
    return f"{PREFIX}{name.upper()}: {message}" if name else message.removeprefix("Value error, ")
