"""Settings: the configuration of an installation. The only module that reads the environment.

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

from traderecon.addresses import MASK, brokers, mask_credentials, mask_password, sqlite_url
from traderecon.kubernetes import is_service_variable
from traderecon.permissions import exposure, readable_by_everyone

PREFIX = "TRADERECON_"
FILE = Path("traderecon.toml")

_LOOPBACK = re.compile(r"(kafka://)?(localhost|127(\.\d+){3}|\[::1\])(:\d+)?/?")
_IN_QUOTES = re.compile(r"([\"']).*\1", re.DOTALL)
_ENCODING = "utf-8-sig"
"""Accepts a byte order mark, which some editors write."""
_MAX_SHOWN = 40
"""Characters of a value that an error message repeats."""

Protocol = Annotated[
    Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], BeforeValidator(lambda text: str(text).strip().lower())
]
Mechanism = Annotated[
    Literal["SCRAM-SHA-512", "SCRAM-SHA-256"], BeforeValidator(lambda text: str(text).strip().upper())
]

_EXPECTED_FORM = {
    "database_url": "write sqlite:///path",
    "topic_prefix": "write at most 100 letters, digits, points, underscores and hyphens",
    "cluster_id": "write the id as `traderecon doctor` shows it: letters, digits, points, underscores and hyphens",
}
"""What to write when a text does not match the setting's pattern."""

_PASSWORD_SOURCES = f"set the variable, or write a file of that name in {PREFIX}SECRETS_DIR"


def _not_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("write a whole number")  # pydantic turns a ValueError into a ValidationError
    return value


def _expand(path: Any) -> Any:
    return _to_path(str(path)) if isinstance(path, str | Path) else path


Text = Annotated[str, StringConstraints(strip_whitespace=True)]
WholeNumber = Annotated[int, BeforeValidator(_not_boolean)]
ExpandedPath = Annotated[Path, BeforeValidator(_expand)]


class ConfigurationError(Exception):
    """A setting is invalid: which one, what was found, and what to write."""


class _TomlSource(TomlConfigSettingsSource):
    """``traderecon.toml``, with or without a byte order mark."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        return tomllib.loads(file_path.read_text(encoding=_ENCODING))


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
    """``embedded://``, or ``kafka://host:9092`` (several hosts: ``kafka://a:9092,b:9092``). Default port: 9092."""
    kafka_security: Protocol = "plaintext"
    """``sasl_ssl`` (TLS and password), ``ssl`` (TLS), ``sasl_plaintext`` (loopback only) or ``plaintext``."""
    kafka_sasl_mechanism: Mechanism = "SCRAM-SHA-512"
    """``SCRAM-SHA-512`` or ``SCRAM-SHA-256``."""
    kafka_username: Text = ""
    """SASL user name; the broker sees the principal ``User:<name>``."""
    kafka_password: SecretStr | None = None
    """SASL password. Set the variable or write a secret file; it is not accepted in ``traderecon.toml``."""
    kafka_ca_file: ExpandedPath | None = None
    """PEM file with the CA of the broker's certificate. Default: the CAs this system trusts."""
    kafka_cert_file: ExpandedPath | None = None
    """PEM file with the client certificate, if the broker requires one."""
    kafka_key_file: ExpandedPath | None = None
    """PEM file with the client key: without a password, and not readable by every user."""
    data_dir: ExpandedPath = Path("traderecon-data")
    """Directory of the embedded log, the database and the tables."""
    database_url: Annotated[Text, Field(pattern=r"^(|sqlite:///\S.*|postgresql://\S+)$")] = ""
    """``sqlite:///path`` (``%23`` for ``#``, ``%3F`` for ``?``). Default: ``traderecon.db`` in the data directory."""
    web_host: Text = "127.0.0.1"
    """Address the pages listen on. Keep it on loopback unless authentication is on."""
    web_port: Annotated[WholeNumber, Field(ge=1, le=65_535)] = 5000
    """Port of the pages. If it is not set and the default is in use, the next free port is taken."""
    topic_prefix: Annotated[Text, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    """Prefix of every topic name and application id."""
    topic_partitions: Annotated[WholeNumber, Field(ge=1, le=4_096)] = 4
    """Number of partitions of every topic that `traderecon topics create` makes."""
    grace_seconds: Annotated[WholeNumber, Field(ge=0, le=31_536_000)] = 60
    """How long a trade with one side waits for the other side: the grace period."""
    silence_limit_seconds: Annotated[WholeNumber, Field(ge=0, le=604_800)] = 900
    """How long a silent source holds the trades that wait for it, at most. 0 never holds any."""
    silence_floor_seconds: Annotated[WholeNumber, Field(ge=1, le=86_400)] = 30
    """No source is called silent for a pause up to this long. Keep it below the grace period."""
    clock_step_seconds: Annotated[WholeNumber, Field(ge=1, le=3_600)] = 10
    """Ignore a broker's clock further ahead of elapsed time than this; no grace period expires until it is right."""
    retention_days: Annotated[WholeNumber, Field(ge=1, le=36_500)] = 35
    """How long a trade is kept after its last fact. The input topics and the journal keep records a week longer."""
    database_retention_days: Annotated[WholeNumber, Field(ge=0, le=36_500)] = 0
    """How long `traderecon db purge` keeps a trade after its last result. 0 keeps everything."""
    cluster_id: Annotated[Text, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    """Expected id of the Kafka cluster or embedded log; workers refuse any other. Empty accepts any."""
    min_free_mb: Annotated[WholeNumber, Field(ge=0, le=1_000_000_000)] = 512
    """Pause intake when less than this many MiB are free on a disk the worker writes to. 0 disables the check."""
    checkpoint_key_file: ExpandedPath | None = None
    """Private key that signs checkpoints, outside the data directory. ``traderecon audit key FILE`` makes one."""
    rules: ExpandedPath | None = None
    """Rules file (TOML), which also has the settings of the sources. Default: the founding rules."""
    secrets_dir: ExpandedPath | None = None
    """Directory with one file per secret, named like the variable."""

    @model_validator(mode="after")
    def _default_database_url(self) -> Self:
        if not self.database_url:
            object.__setattr__(self, "database_url", sqlite_url(self.data_dir / "traderecon.db"))
        return self

    @model_validator(mode="after")
    def _security_is_consistent(self) -> Self:
        if error := next(self._contradictions(), None):
            raise ValueError(error)
        return self

    def _contradictions(self) -> Iterator[str]:
        """Settings that are missing for the chosen security, or contradict it."""
        sasl, tls = self.kafka_security.startswith("sasl_"), self.kafka_security.endswith("ssl")
        security = f"{PREFIX}KAFKA_SECURITY is {self.kafka_security}"
        for name in ("kafka_username", "kafka_password"):
            if sasl and not getattr(self, name):
                yield f"{PREFIX}{name.upper()}: required, because {security}"
            if not sasl and getattr(self, name):
                yield f"{PREFIX}{name.upper()}: not used, because {security}; write sasl_ssl there, or unset this"
        for name in ("kafka_ca_file", "kafka_cert_file", "kafka_key_file"):
            if not tls and getattr(self, name) is not None:
                yield (
                    f"{PREFIX}{name.upper()}: {security}, which is not encrypted; write ssl or sasl_ssl there, or "
                    "unset this"
                )
        if (self.kafka_cert_file is None) != (self.kafka_key_file is None):
            present, missing = ("CERT", "KEY") if self.kafka_key_file is None else ("KEY", "CERT")
            yield f"{PREFIX}KAFKA_{missing}_FILE: required, because {PREFIX}KAFKA_{present}_FILE is set"
        if sasl and not tls and not is_local(self.broker):
            yield f"{PREFIX}KAFKA_SECURITY: sasl_plaintext is only for a broker on loopback; write sasl_ssl"
        yield from self._exposed_keys()

    def _exposed_keys(self) -> Iterator[str]:
        if self.kafka_key_file is not None and readable_by_everyone(self.kafka_key_file):
            yield f"{PREFIX}KAFKA_KEY_FILE: {exposure(self.kafka_key_file)}"
        if (key := self.checkpoint_key_file) is not None:
            if readable_by_everyone(key):
                yield f"{PREFIX}CHECKPOINT_KEY_FILE: {exposure(key)}"
            if key.resolve().is_relative_to(self.data_dir.resolve()):
                text = "is in the data directory: move it where those who can edit the data directory cannot read it"
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
                name: value
                for name, value in env_settings.env_vars.items()
                if not is_service_variable(name.upper(), value or "")
            }
        return env_settings, file_secret_settings, _TomlSource(settings_cls, toml_file=FILE)

    def masked(self) -> dict[str, Any]:
        """Every setting, safe to print: passwords are masked, also in URLs."""
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in self}
        plain["kafka_password"] = None if self.kafka_password is None else MASK
        return {**plain, **{name: mask_password(plain[name]) for name in ("broker", "database_url")}}


def override(settings: Mapping[str, str]) -> None:
    """Set settings (``{"DATA_DIR": ...}``) in the environment, for every later ``load`` and for child processes."""
    os.environ.update({PREFIX + name: value for name, value in settings.items()})


def load() -> Settings:
    """The effective settings; ConfigurationError names the setting that is wrong."""
    _check_variables()
    toml = _read_toml()
    _check_toml(toml)
    secrets_dir = _find_secrets_dir(toml)
    if secrets_dir is not None:
        _check_secrets(secrets_dir)
    if "kafka_password" in toml:
        raise ConfigurationError(f"{PREFIX}KAFKA_PASSWORD: not accepted in {FILE}; {_PASSWORD_SOURCES}")
    return _validate(_Sources(toml, secrets_dir))


def _find_secrets_dir(toml: Mapping[str, Any]) -> Path | None:
    configured = os.environ.get(PREFIX + "SECRETS_DIR") or toml.get("secrets_dir")
    try:
        return None if configured is None else _to_path(str(configured))
    except ValueError as error:
        raise ConfigurationError(f"{PREFIX}SECRETS_DIR: {error}") from None


def _validate(sources: "_Sources") -> Settings:
    try:
        return Settings(_secrets_dir=sources.secrets_dir)  # type: ignore[call-arg]  # not in pydantic-settings' types
    except ValidationError as error:
        raise ConfigurationError("; ".join(_explain(detail, sources) for detail in error.errors())) from None
    except (SettingsError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{error}: write the secret as UTF-8 text") from None


def is_local(broker: str) -> bool:
    """Whether the log is embedded, or every broker in the URL is on loopback."""
    return broker.startswith("embedded://") or all(_LOOPBACK.fullmatch(host) for host in broker.split(";"))


def _unknown_setting(name: str, prefix: str = "", origin: str = "") -> str:
    """The error text for an unknown setting, with the probable one: the closest, or the only one it begins."""
    sent = name.lower().removeprefix(PREFIX.lower())
    longer = [known for known in Settings.model_fields if known.startswith(f"{sent}_")]
    near = get_close_matches(sent, Settings.model_fields, 1) or (longer if len(longer) == 1 else [])
    suggested = "".join(f": did you mean {prefix}{known.upper() if prefix else known}?" for known in near)
    return f"{name}{origin} is not a setting{suggested}"


def _check_variables() -> None:
    """Reject TRADERECON_ variables that are not settings, and values that still have a shell's quotation marks."""
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    for name, value in sorted(os.environ.items()):
        if not name.startswith(PREFIX) or is_service_variable(name, value):
            continue
        if name not in settings:
            raise ConfigurationError(_unknown_setting(name, PREFIX, " (in the environment)"))
        if _IN_QUOTES.fullmatch(value) and name != PREFIX + "KAFKA_PASSWORD":
            raise ConfigurationError(f"{name}: the quotation marks are part of the value: remove them")


def _to_path(text: str) -> Path:
    """Expand ``~`` and drop the CR of a line written on Windows, as a shell or an editor would have."""
    path = text.rstrip("\r")
    if "\0" in path or not path.strip():
        raise ValueError("write the path of a file or directory")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError("the home directory that ~ stands for is unknown: write the full path") from None


def _read_toml() -> dict[str, Any]:
    """The content of ``traderecon.toml``; empty if there is no such file."""
    try:
        return tomllib.loads(FILE.read_text(encoding=_ENCODING)) if FILE.exists() else {}
    except OSError as error:
        raise ConfigurationError(
            f"{FILE}: cannot be read ({error.strerror}): make it a file that this user can read, or remove it"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{FILE}: is not UTF-8 text: save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{FILE}: {error}") from None


def _check_secrets(folder: Path) -> None:
    """Reject a directory that cannot be read, and files in it that are misnamed or readable by everyone."""
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
            raise ConfigurationError(f"{file}: {_unknown_setting(file.name, PREFIX)}")
        if readable_by_everyone(file):
            raise ConfigurationError(f"{name}: {exposure(file)}")


def _check_toml(toml: Mapping[str, Any]) -> None:
    """Reject tables and unknown settings in ``traderecon.toml``."""
    for name, value in toml.items():
        if isinstance(value, dict):
            raise ConfigurationError(
                f"{FILE}: [{name}] is a table, and tables are not supported: write settings at the top level, as in "
                "grace_seconds = 60"
            )
        if name not in Settings.model_fields:
            raise ConfigurationError(f"{FILE}: {_unknown_setting(name)}")


def has_display() -> bool:
    """Whether a graphical browser can open a window; a text browser in this terminal does not count."""
    return sys.platform in {"darwin", "win32"} or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))


class _Sources(NamedTuple):
    """Where settings come from besides the environment: ``traderecon.toml`` and the secret files."""

    toml: Mapping[str, Any]
    secrets_dir: Path | None

    def source_of(self, name: str) -> str:
        """Where the effective value of a setting was found."""
        if os.environ.get(PREFIX + name.upper()):
            return "in the environment"
        if (file := self._secret_file(name)) is not None:
            return f"in {file}"
        return f"in {FILE}" if name in self.toml else "in the defaults"

    def is_secret(self, name: str) -> bool:
        """Whether the effective value is in a secret file, and must not be repeated."""
        return not os.environ.get(PREFIX + name.upper()) and self._secret_file(name) is not None

    def _secret_file(self, name: str) -> Path | None:
        files = sorted(self.secrets_dir.iterdir()) if self.secrets_dir is not None else []
        return next((file for file in files if file.name.upper() == PREFIX + name.upper()), None)


def _explain(detail: Mapping[str, Any], sources: _Sources) -> str:
    """What is wrong with which setting, what was found, and where."""
    name = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not name:
        return message
    kind = detail["type"]
    if Settings.model_fields[name].annotation is int:
        message = f"write {_range_of(name)}, not {_shorten(detail['input'])}"
    elif kind == "string_pattern_mismatch":
        message = _EXPECTED_FORM[name]
    elif kind == "literal_error":
        message = f"write {detail['ctx']['expected'].replace(chr(39), '')}"
    elif kind in {"string_type", "path_type", "string_unicode"}:
        message = "write UTF-8 text"
    found = f"found {sources.source_of(name)}"
    if Settings.model_fields[name].annotation is int or name == "kafka_password" or sources.is_secret(name):
        return f"{PREFIX}{name.upper()}: {message} ({found})"
    return f"{PREFIX}{name.upper()} is {_shorten(mask_credentials(str(detail['input'])))}: {message} ({found})"


def _range_of(name: str) -> str:
    bounds = {
        bound: getattr(constraint, bound)
        for constraint in Settings.model_fields[name].metadata
        for bound in ("ge", "le")
        if hasattr(constraint, bound)
    }
    return f"a whole number from {bounds['ge']} to {bounds['le']}"


def _shorten(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")
