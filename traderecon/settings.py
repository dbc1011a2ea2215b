"""Settings: what an installation decides. The only reader of the environment.

    TRADERECON_* in the environment, then files in TRADERECON_SECRETS_DIR, then traderecon.toml, then the defaults

Source: CONTRACT.md, Configuration.
"""

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from traderecon.addresses import brokers, sqlite_url
from traderecon.kubernetes import injected

PREFIX = "TRADERECON_"
FILE = Path("traderecon.toml")

_PASSWORD = re.compile(r"(^[^:]+://[^:@/]*:).*(?=@)|(?<=password=)[^&]*")
_LOOPBACK = re.compile(r"(kafka://)?(localhost|127(\.\d+){3}|\[::1\])(:\d+)?/?")
_QUOTED = re.compile(r"([\"']).*\1", re.DOTALL)
_UTF_8 = "utf-8-sig"
"""Some editors begin a file with a byte order mark."""
_HIDDEN = "****"
_MOST_SHOWN = 40
"""Characters of a value that a refusal repeats."""
_WORLD_READS, _WORLD_ENTERS = 0o004, 0o001

Protocol = Annotated[
    Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], BeforeValidator(lambda text: str(text).strip().lower())
]
Mechanism = Annotated[
    Literal["SCRAM-SHA-512", "SCRAM-SHA-256"], BeforeValidator(lambda text: str(text).strip().upper())
]

_WRITTEN = {
    "database_url": "write sqlite:///path",
    "topic_prefix": "write at most 100 letters, digits, points, underscores and hyphens",
    "cluster_id": "write the id as `traderecon doctor` shows it: letters, digits, points, underscores and hyphens",
}
"""What to write where a text has another form."""


_PLACES = f"set the variable, or write a file of that name in {PREFIX}SECRETS_DIR"


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("write a whole number")  # pydantic takes a ValueError for its own
    return value


Text = Annotated[str, StringConstraints(strip_whitespace=True)]
Whole = Annotated[int, BeforeValidator(_no_truth)]


class ConfigurationError(Exception):
    """A setting that cannot be used: which, what was found, and what to write."""


class _File(TomlConfigSettingsSource):
    """``traderecon.toml``, with a byte order mark or without."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        return tomllib.loads(file_path.read_text(encoding=_UTF_8))


class Settings(BaseSettings):
    """Every setting with its default. Read them with ``load``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    broker: Annotated[Text, AfterValidator(brokers)] = "embedded://"
    """``embedded://``, or ``kafka://host:9092`` (several hosts: ``kafka://a:9092,b:9092``; no port: 9092)."""
    kafka_security: Protocol = "plaintext"
    """``sasl_ssl`` (TLS, name and password), ``ssl`` (TLS), ``sasl_plaintext`` (loopback only) or ``plaintext``."""
    kafka_sasl_mechanism: Mechanism = "SCRAM-SHA-512"
    """Or ``SCRAM-SHA-256``."""
    kafka_username: Text = ""
    """Who we are for the broker: its principal ``User:<name>``."""
    kafka_password: SecretStr | None = None
    """A secret: from the environment or a file of its own, never from ``traderecon.toml``."""
    kafka_ca_file: Path | None = None
    """PEM, who signs the broker's certificate; none: whom this system trusts."""
    kafka_cert_file: Path | None = None
    """PEM, our own certificate, where the broker asks for one."""
    kafka_key_file: Path | None = None
    """PEM, its key, without a password and not readable by everybody."""
    data_dir: Path = Path("traderecon-data")
    """Embedded log, database and tables."""
    database_url: Annotated[Text, Field(pattern=r"^(|sqlite:///\S.*|postgresql://\S+)$")] = ""
    """``sqlite:///path`` (``%23`` for a ``#``, ``%3F`` for a ``?``); empty: ``traderecon.db`` in the data directory."""
    web_host: Text = "127.0.0.1"
    """Where the pages listen; loopback unless authentication is on."""
    web_port: Annotated[Whole, Field(ge=1, le=65_535)] = 5000
    """The port; taken and not asked for by name: the next free one."""
    topic_prefix: Annotated[Text, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    """Before every topic name and application id."""
    topic_partitions: Annotated[Whole, Field(ge=1, le=4_096)] = 4
    """Partitions of the topics that are ours to create."""
    grace_seconds: Annotated[Whole, Field(ge=0, le=31_536_000)] = 60
    """One leg waits this long for the other."""
    clock_step_seconds: Annotated[Whole, Field(ge=1, le=3_600)] = 10
    """A broker's clock that is further ahead of the time that has passed is not believed, and graces wait for it."""
    retention_days: Annotated[Whole, Field(ge=1, le=36_500)] = 35
    """How long a trade is kept after its last fact; the input topics and the journal keep records a week longer."""
    database_retention_days: Annotated[Whole, Field(ge=0, le=36_500)] = 0
    """How long the database keeps a trade after its last result, by `traderecon db purge`; 0: for ever."""
    cluster_id: Annotated[Text, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    """The id of the Kafka cluster, or of the embedded log, that is meant: another one is refused. Empty: any."""
    min_free_mb: Annotated[Whole, Field(ge=0, le=1_000_000_000)] = 512
    """Pause intake when less than this many MiB are free on a disk of ours. 0 disables the check."""
    checkpoint_key_file: Path | None = None
    """The key that signs checkpoints, outside of the data directory: ``traderecon audit key FILE`` makes one."""
    rules: Path | None = None
    """A rules file (TOML); none: the founding rules."""
    secrets_dir: Path | None = None
    """A directory with one file per secret, named like the variable."""

    @field_validator(
        "kafka_ca_file", "kafka_cert_file", "kafka_key_file", "data_dir", "rules", "secrets_dir", mode="before"
    )
    @classmethod
    def _usable_path(cls, path: Any) -> Any:
        return _usable(str(path)) if isinstance(path, str | Path) else path

    @model_validator(mode="after")
    def _database_beside_the_data(self) -> Self:
        if not self.database_url:
            object.__setattr__(self, "database_url", sqlite_url(self.data_dir / "traderecon.db"))
        return self

    @model_validator(mode="after")
    def _security_is_whole(self) -> Self:
        if wrong := next(self._contradictions(), None):
            raise ValueError(wrong)
        return self

    def _contradictions(self) -> Iterator[str]:
        """What is missing or too much for the security that is asked for, by the name of the setting."""
        asked = f"{PREFIX}KAFKA_SECURITY is {self.kafka_security}"
        sasl, tls = self.kafka_security.startswith("sasl_"), self.kafka_security.endswith("ssl")
        for name in ("kafka_username", "kafka_password"):
            if sasl and not getattr(self, name):
                yield f"{PREFIX}{name.upper()}: {asked}, which needs it"
            if not sasl and getattr(self, name):
                yield f"{PREFIX}{name.upper()}: {asked}, where nobody asks for it; write sasl_ssl, or leave it out"
        for name in ("kafka_ca_file", "kafka_cert_file", "kafka_key_file"):
            if not tls and getattr(self, name) is not None:
                yield f"{PREFIX}{name.upper()}: {asked}, which is not encrypted; write ssl or sasl_ssl, or leave it out"
        if (self.kafka_cert_file is None) != (self.kafka_key_file is None):
            there, missing = ("CERT", "KEY") if self.kafka_key_file is None else ("KEY", "CERT")
            yield f"{PREFIX}KAFKA_{missing}_FILE: {PREFIX}KAFKA_{there}_FILE is set, and needs it"
        if sasl and not tls and not on_this_machine(self.broker):
            yield f"{PREFIX}KAFKA_SECURITY: sasl_plaintext is for a broker on loopback; write sasl_ssl"
        if self.kafka_key_file is not None and everybody_reads(self.kafka_key_file):
            yield f"{PREFIX}KAFKA_KEY_FILE: {_open_to_all(self.kafka_key_file)}"
        if (key := self.checkpoint_key_file) is not None:
            if everybody_reads(key):
                yield f"{PREFIX}CHECKPOINT_KEY_FILE: {_open_to_all(key)}"
            if key.resolve().is_relative_to(self.data_dir.resolve()):
                text = "lies in the data directory, and who edits that must not have it"
                yield f"{PREFIX}CHECKPOINT_KEY_FILE: {key} {text}"

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
        if isinstance(env_settings, EnvSettingsSource):
            env_settings.env_vars = {
                name: value for name, value in env_settings.env_vars.items() if not injected(name.upper(), value or "")
            }
        return env_settings, file_secret_settings, _File(settings_cls, toml_file=FILE)

    def shown(self) -> dict[str, Any]:
        """Every setting as text that may be printed: a password is masked, also in a URL."""
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in self}
        plain["kafka_password"] = None if self.kafka_password is None else _HIDDEN
        return {**plain, **{name: _PASSWORD.sub(r"\1****", plain[name]) for name in ("broker", "database_url")}}


def load(given: Mapping[str, str] | None = None) -> Settings:
    """The effective settings; ConfigurationError names the setting that is wrong.

    ``given``: settings that somebody named on the spot (``DATA_DIR``, ...), before everything else.
    """
    os.environ.update({PREFIX + name: value for name, value in (given or {}).items()})
    _look_at_variables()
    in_file = _in_file()
    _look_at_file(in_file)
    secrets_dir = os.environ.get(PREFIX + "SECRETS_DIR") or in_file.get("secrets_dir")
    if secrets_dir is not None:
        try:
            secrets_dir = _usable(str(secrets_dir))
        except ValueError as error:
            raise ConfigurationError(f"{PREFIX}SECRETS_DIR: {error}") from None
        _look_at_secrets(secrets_dir)
    if "kafka_password" in in_file:
        raise ConfigurationError(f"{PREFIX}KAFKA_PASSWORD: {FILE} is no place for it; {_PLACES}")
    try:
        return Settings(_secrets_dir=secrets_dir)  # type: ignore[call-arg]  # pydantic-settings takes it, unannounced
    except ValidationError as error:
        found = _Found(in_file, None if secrets_dir is None else Path(secrets_dir))
        raise ConfigurationError("; ".join(_sentence(detail, found) for detail in error.errors())) from None
    except (SettingsError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{error}: a secret is a file of UTF-8 text") from None


def on_this_machine(broker: str) -> bool:
    """Whether the log is an embedded one, or every broker named is on loopback."""
    return broker.startswith("embedded://") or all(_LOOPBACK.fullmatch(host) for host in broker.split(";"))


def everybody_reads(file: Path) -> bool:
    """Whether any user of this machine can read a file: it says so, and so does every directory on the way to it."""
    try:
        real = file.resolve(strict=True)
        way = all(folder.stat().st_mode & _WORLD_ENTERS for folder in real.parents)
        return way and bool(real.stat().st_mode & _WORLD_READS)
    except OSError:
        return False


def _not_a_setting(name: str, prefix: str = "") -> str:
    """That there is no such setting, and which one is probably meant; its name is shown with this prefix."""
    plain = name.lower().removeprefix(PREFIX.lower())
    near = get_close_matches(plain, Settings.model_fields, 1)
    suggested = f"{prefix}{near[0].upper() if prefix else near[0]}" if near else ""
    return f"{name} is not a setting" + (f": did you mean {suggested}?" if suggested else "")


def _look_at_variables() -> None:
    """Refuse variables that are meant for us and would not do what they say."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name, value in sorted(os.environ.items()):
        if not name.startswith(PREFIX) or injected(name, value):
            continue
        if name not in known:
            raise ConfigurationError(_not_a_setting(name, PREFIX))
        if _QUOTED.fullmatch(value) and name != PREFIX + "KAFKA_PASSWORD":
            raise ConfigurationError(f"{name}: the quotation marks are a part of the value: leave them out")


def _usable(text: str) -> Path:
    """The path without what an editor or a shell would have seen to: ``~``, the end of a line written on Windows."""
    written = text.rstrip("\r")
    if "\0" in written or not written.strip():
        raise ValueError("write the path of a file or directory")
    try:
        return Path(written).expanduser()
    except RuntimeError:
        raise ValueError("the ~ in it stands for no known home directory: write the whole path") from None


def _in_file() -> dict[str, Any]:
    """What ``traderecon.toml`` says; empty where there is none."""
    try:
        return tomllib.loads(FILE.read_text(encoding=_UTF_8)) if FILE.exists() else {}
    except OSError as error:
        raise ConfigurationError(
            f"{FILE}: cannot be read ({error.strerror}): make it a file that this user can read, or move it away"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{FILE}: is not UTF-8 text: save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{FILE}: {error}") from None


def _look_at_secrets(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigurationError(f"{PREFIX}SECRETS_DIR is {str(folder)!r}: there is no such directory")
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{PREFIX}SECRETS_DIR is {str(folder)!r}: cannot be read ({error.strerror})") from None
    for file in files:
        name = file.name.upper()
        if not name.startswith(PREFIX):
            continue
        if name.removeprefix(PREFIX).lower() not in Settings.model_fields:
            raise ConfigurationError(f"{file}: {_not_a_setting(file.name, PREFIX)}")
        if everybody_reads(file):
            raise ConfigurationError(f"{name}: {_open_to_all(file)}")


def _look_at_file(in_file: Mapping[str, Any]) -> None:
    """Refuse what ``traderecon.toml`` names and we do not know."""
    for name, value in in_file.items():
        if isinstance(value, dict):
            raise ConfigurationError(
                f"{FILE}: tables are not read, and [{name}] is one: write settings above every table, as in "
                "grace_seconds = 60"
            )
        if name not in Settings.model_fields:
            raise ConfigurationError(f"{FILE}: {_not_a_setting(name)}")


def _open_to_all(file: Path) -> str:
    return f"every user of this machine can read {file}; chmod o-r it, or its directory"


def has_screen() -> bool:
    """Whether a browser has a screen to open on; a text browser in this terminal is none."""
    return sys.platform in {"darwin", "win32"} or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))


class _Found(NamedTuple):
    """Where a setting may be: in the environment, in a file of its own, in ``traderecon.toml``."""

    in_file: Mapping[str, Any]
    secrets_dir: Path | None

    def where(self, name: str) -> str:
        """Where the value that counts is."""
        if os.environ.get(PREFIX + name.upper()):
            return "in the environment"
        for file in sorted(self.secrets_dir.iterdir()) if self.secrets_dir is not None else ():
            if file.name.upper() == PREFIX + name.upper():
                return f"in {file}"
        return f"in {FILE}" if name in self.in_file else "by default"


def _sentence(detail: Mapping[str, Any], found: _Found) -> str:
    """What is wrong with which setting, and where it is. Only a number is repeated: a text may be secret."""
    name = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not name:
        return message
    kind = detail["type"]
    if Settings.model_fields[name].annotation is int:
        message = f"write {_whole_number(name)}, not {_shown(detail['input'])}"
    elif kind == "string_pattern_mismatch":
        message = _WRITTEN[name]
    elif kind == "literal_error":
        message = f"write {detail['ctx']['expected'].replace(chr(39), '')}"
    elif kind in {"string_type", "path_type", "string_unicode"}:
        message = "write UTF-8 text"
    return f"{PREFIX}{name.upper()}: {message} (found {found.where(name)})"


def _whole_number(name: str) -> str:
    bounds = {
        key: getattr(one, key)
        for one in Settings.model_fields[name].metadata
        for key in ("ge", "le")
        if hasattr(one, key)
    }
    return f"a whole number from {bounds['ge']} to {bounds['le']}"


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")
