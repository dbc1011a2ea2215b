"""Settings: where each comes from, which values are rejected with which message, and what is never printed."""

import re
import tempfile
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from domain import DOCS, tables_in
from pydantic import SecretStr

import traderecon
from traderecon.addresses import BROKER_FORM
from traderecon.settings import PREFIX, ConfigurationError, Settings, has_display, load

CONTRACT = (DOCS / "CONTRACT.md").read_text(encoding="utf-8")
(TABLE,) = (rows for rows in tables_in(CONTRACT) if "Variable" in rows[0])
CODE = re.compile(r"`([^`]+)`")

DEFAULTS_IN_PROSE: dict[str, Any] = {
    "`traderecon.db` in the data dir": "sqlite:///traderecon-data/traderecon.db",
    "empty": "",
    "built-in founding rules": None,
    "none": None,
}

DEFAULTS: dict[str, Any] = {
    name: DEFAULTS_IN_PROSE.get(row["Default"], default)
    for row in TABLE
    for names in [CODE.findall(row["Variable"])]
    for name, default in zip(names, CODE.findall(row["Default"]) or [""], strict=True)
}


pytestmark = pytest.mark.usefixtures("here")


def rejection() -> str:
    with pytest.raises(ConfigurationError) as error:
        load()
    return str(error.value)


def secret(folder: Path, name: str, content: bytes) -> Path:
    """A directory of secrets with this one in it."""
    (folder / "secrets").mkdir()
    (folder / "secrets" / name).write_bytes(content)
    return folder / "secrets"


def test_every_setting_of_the_contract_is_a_setting_and_no_other() -> None:
    assert {PREFIX + name.upper() for name in Settings.model_fields} == {*DEFAULTS, f"{PREFIX}SECRETS_DIR"}
    assert f"`{PREFIX}SECRETS_DIR`" in CONTRACT


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_is_the_one_of_the_contract(name: str) -> None:
    value = getattr(load(), name.removeprefix(PREFIX).lower())
    if isinstance(value, Path):
        assert value == Path(DEFAULTS[name])
    else:
        assert str(value) == str(DEFAULTS[name])


def test_the_environment_overrides_secrets_and_secrets_override_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("topic_prefix", "data_dir"):
        assert name not in load().model_fields_set
    (here / "traderecon.toml").write_text('topic_prefix = "file"\nweb_port = 5001\nretention_days = 1')
    assert (load().topic_prefix, load().web_port, load().retention_days) == ("file", 5001, 1)
    secrets = secret(here, "TRADERECON_TOPIC_PREFIX", b"secret\n")
    (secrets / "TRADERECON_WEB_PORT").write_text("5002")
    monkeypatch.setenv("TRADERECON_SECRETS_DIR", str(secrets))
    assert (load().topic_prefix, load().web_port, load().retention_days) == ("secret", 5002, 1)
    monkeypatch.setenv("TRADERECON_TOPIC_PREFIX", "environment")
    assert (load().topic_prefix, load().web_port, load().retention_days) == ("environment", 5002, 1)


@pytest.mark.parametrize("name", ["TRADERECON_DATABASE_URL", "traderecon_database_url"])
def test_a_secret_is_a_file_named_like_the_variable(here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TRADERECON_SECRETS_DIR", str(secret(here, name, b" postgresql://u:hunter2@h/db \r\n")))
    assert load().database_url == "postgresql://u:hunter2@h/db"


def test_a_byte_order_mark_in_the_file_is_ignored(here: Path) -> None:
    (here / "traderecon.toml").write_bytes(b"\xef\xbb\xbf" + b"grace_seconds = 7\n")
    assert load().grace_seconds == 7


def test_the_secrets_directory_may_be_set_in_the_file(here: Path) -> None:
    secret(here, "TRADERECON_TOPIC_PREFIX", b"secret")
    (here / "traderecon.toml").write_text('secrets_dir = "secrets"')
    assert load().topic_prefix == "secret"


def test_the_database_is_in_the_data_directory_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_DATA_DIR", "/srv/traderecon")
    assert load().database_url == "sqlite:////srv/traderecon/traderecon.db"
    monkeypatch.setenv("TRADERECON_DATABASE_URL", "sqlite:///other.db")
    assert load().database_url == "sqlite:///other.db"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("TRADERECON_BROKERS", "TRADERECON_BROKER"),
        ("TRADERECON_GRACE_SECOND", "TRADERECON_GRACE_SECONDS"),
        ("TRADERECON_DATABASE_URI", "TRADERECON_DATABASE_URL"),
        ("TRADERECON_Broker", "TRADERECON_BROKER"),
        ("TRADERECON_GRACE", "TRADERECON_GRACE_SECONDS"),
        ("TRADERECON_MIN", "TRADERECON_MIN_FREE_MB"),
    ],
)
def test_an_unknown_variable_is_rejected_with_the_closest_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, near: str
) -> None:
    monkeypatch.setenv(name, "hunter2")
    assert rejection() == f"{name} (in the environment) is not a setting: did you mean {near}?"


def test_an_unknown_variable_without_a_close_match_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_X", "1")
    assert rejection() == "TRADERECON_X (in the environment) is not a setting"


BAD = [
    ("TRADERECON_BROKER", "hunter2@"),
    ("TRADERECON_BROKER", "kafka://"),
    ("TRADERECON_BROKER", "kafka://a:9092;;b:9092"),
    ("TRADERECON_BROKER", "kafka://u:hunter2@h:9092"),
    ("TRADERECON_BROKER", "kafka://h:9092;kafka://hunter2@h:9092"),
    ("TRADERECON_KAFKA_SECURITY", "tls"),
    ("TRADERECON_KAFKA_SASL_MECHANISM", "PLAIN"),
    ("TRADERECON_DATABASE_URL", "mysql://u:hunter2@h/db"),
    ("TRADERECON_DATABASE_URL", "postgresql://"),
    ("TRADERECON_DATABASE_URL", "postgresql://u:hunter 2@h/db"),
    ("TRADERECON_DATABASE_URL", "postgres://h/db?user=u&password=hunter2"),
    ("TRADERECON_WEB_PORT", "0"),
    ("TRADERECON_WEB_PORT", "65536"),
    ("TRADERECON_WEB_PORT", "http"),
    ("TRADERECON_TOPIC_PREFIX", "desk 7"),
    ("TRADERECON_TOPIC_PARTITIONS", "0"),
    ("TRADERECON_TOPIC_PARTITIONS", "4097"),
    ("TRADERECON_GRACE_SECONDS", "-1"),
    ("TRADERECON_GRACE_SECONDS", "1.5"),
    ("TRADERECON_RETENTION_DAYS", "0"),
    ("TRADERECON_RETENTION_DAYS", "for ever"),
]


@pytest.mark.parametrize("place", ["environment", "secret", "file"])
@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_rejected_by_name_and_no_password_is_repeated(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv(name, value)
    elif place == "secret":
        monkeypatch.setenv("TRADERECON_SECRETS_DIR", str(secret(here, name, value.encode())))
    else:
        (here / "traderecon.toml").write_text(f'{name.removeprefix(PREFIX).lower()} = "{value}"')
    message = rejection()
    assert message.startswith((f"{name}: ", f"{name} is "))
    assert "hunter" not in message


def test_every_bad_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_WEB_PORT", "0")
    monkeypatch.setenv("TRADERECON_RETENTION_DAYS", "0")
    assert [sentence.partition(":")[0] for sentence in rejection().split("; ")] == [
        "TRADERECON_WEB_PORT",
        "TRADERECON_RETENTION_DAYS",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'brokr = "x"', "traderecon.toml: brokr is not a setting: did you mean broker?"),
        (b"broker =", "traderecon.toml: "),
        (b'database_url = "postgresql://u:hunter2@h/db', "traderecon.toml: "),
        (b'broker = "\xff"', "traderecon.toml: "),
    ],
)
def test_an_invalid_file_is_rejected(here: Path, content: bytes, message: str) -> None:
    (here / "traderecon.toml").write_bytes(content)
    assert rejection().startswith(message)
    assert "hunter" not in rejection()


def test_a_secret_that_is_not_text_is_rejected_by_its_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_SECRETS_DIR", str(secret(here, "TRADERECON_DATABASE_URL", b"\xff")))
    assert "traderecon.toml" not in rejection()
    assert "database_url" in rejection().lower()


def test_a_missing_secrets_directory_is_rejected(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_SECRETS_DIR", str(here / "nowhere"))
    assert rejection() == f"TRADERECON_SECRETS_DIR is {str(here / 'nowhere')!r}: there is no such directory"


@pytest.mark.parametrize(
    ("written", "broker"),
    [
        ("embedded://", "embedded://"),
        ("EMBEDDED://", "embedded://"),
        ("embedded:///", "embedded://"),
        ("kafka://a:9092", "kafka://a:9092"),
        ("kafka://a:9092;b:9092", "kafka://a:9092;b:9092"),
        ("kafka://a:9092;kafka://b:9092;c", "kafka://a:9092;b:9092;c:9092"),
        ("kafka://a,b", "kafka://a:9092;b:9092"),
        ("kafka://a:9093,kafka://b:9094", "kafka://a:9093;b:9094"),
        ("kafka://a:9092, b:9092,", "kafka://a:9092;b:9092"),
        (" kafka://a:9092/\r", "kafka://a:9092"),
        ("KAFKA://Broker-1.Example_2:9092/", "kafka://Broker-1.Example_2:9092"),
        ("kafka://a;a:9092", "kafka://a:9092"),
        ("kafka://[::1]:9092,[fe80::1%eth0]", "kafka://[::1]:9092;[fe80::1%eth0]:9092"),
    ],
)
def test_brokers_are_normalized(monkeypatch: pytest.MonkeyPatch, written: str, broker: str) -> None:
    monkeypatch.setenv("TRADERECON_BROKER", written)
    assert load().broker == broker


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("kafka://::1:9092", "write an IPv6 address in brackets: kafka://[::1]:9092"),
        ("kafka://a:0", "a broker's port is a number from 1 to 65535"),
        ("kafka://a:65536", "a broker's port is a number from 1 to 65535"),
        ("kafka://a:9092/topic", "write embedded:// or kafka://host:9092"),
        ("kafka://a b", "write embedded:// or kafka://host:9092"),
        ("a:9092", "write embedded:// or kafka://host:9092; several hosts: kafka://a:9092,b:9092"),
        ("SASL_SSL://a:9093", "set the encryption in TRADERECON_KAFKA_SECURITY"),
        ("kafka://a;embedded://", "write embedded:// or kafka://host:9092"),
        ("embedded:///srv/log", "the embedded log is in TRADERECON_DATA_DIR"),
        ("kafka://u:p@a", "set TRADERECON_KAFKA_USERNAME and TRADERECON_KAFKA_PASSWORD instead"),
    ],
)
def test_an_invalid_broker_is_rejected_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, written: str, words: str
) -> None:
    monkeypatch.setenv("TRADERECON_BROKER", written)
    assert rejection().startswith("TRADERECON_BROKER is ")
    assert words in rejection()


KUBERNETES = {
    "TRADERECON_SERVICE_HOST": "10.96.7.1",
    "TRADERECON_SERVICE_PORT": "5000",
    "TRADERECON_SERVICE_PORT_HTTP": "5000",
    "TRADERECON_PORT": "tcp://10.96.7.1:5000",
    "TRADERECON_PORT_5000_TCP": "tcp://10.96.7.1:5000",
    "TRADERECON_PORT_5000_TCP_PROTO": "tcp",
    "TRADERECON_PORT_5000_TCP_PORT": "5000",
    "TRADERECON_PORT_5000_TCP_ADDR": "10.96.7.1",
    "TRADERECON_PORT_53_UDP": "udp://[fd00::1]:53",
    "TRADERECON_PORT_53_UDP_ADDR": "fd00::1",
    "TRADERECON_WEB_SERVICE_HOST": "10.96.7.2",
    "TRADERECON_WEB_PORT": "tcp://10.96.7.2:80",
    "TRADERECON_WEB_PORT_80_TCP": "tcp://10.96.7.2:80",
}
"""The environment of a pod in a namespace with the Services ``traderecon`` and ``traderecon-web``."""


def test_service_variables_of_kubernetes_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    assert load().web_port == 5000
    assert "web_port" not in load().model_fields_set


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("TRADERECON_PORT", "5001", "TRADERECON_WEB_PORT"),
        ("TRADERECON_SERVICE_HOST", "localhost:5000", "TRADERECON_WEB_HOST"),
        ("TRADERECON_PORT_5000_TCP", "5000", None),
        ("TRADERECON_SERVICE_HOSTS", "10.0.0.1", None),
    ],
)
def test_a_variable_that_only_looks_like_kubernetes_is_rejected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, near: str | None
) -> None:
    monkeypatch.setenv(name, value)
    assert rejection().startswith(f"{name} (in the environment) is not a setting")
    assert near is None or near in rejection()


@pytest.mark.parametrize(
    ("written", "port"), [("5_001", 5001), (" 5001 ", 5001), ("+5001", 5001), ("5001\r", 5001), ("05001", 5001)]
)
def test_common_spellings_of_numbers_are_accepted(monkeypatch: pytest.MonkeyPatch, written: str, port: int) -> None:
    monkeypatch.setenv("TRADERECON_WEB_PORT", written)
    assert load().web_port == port


@pytest.mark.parametrize("written", ["1e3", "5001.5", "0x1389", "five", "true", "９９９.1", "9" * 5000])
def test_a_value_that_is_not_a_number_is_rejected(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("TRADERECON_WEB_PORT", written)
    shown = written if len(written) < 40 else f"{written[:40]}..."
    assert rejection() == (
        f"TRADERECON_WEB_PORT: write a whole number from 1 to 65535, not {shown!r} (found in the environment)"
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("GRACE_SECONDS", "abc", "write a whole number from 0 to 31536000, not 'abc'"),
        ("GRACE_SECONDS", "-5", "write a whole number from 0 to 31536000, not '-5'"),
        ("WEB_PORT", "65536", "write a whole number from 1 to 65535, not '65536'"),
    ],
)
def test_a_rejection_of_a_number_names_the_source_and_what_to_write(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    variable = PREFIX + name
    (here / "traderecon.toml").write_text(f'{name.lower()} = "{value}"')
    assert rejection() == f"{variable}: {message} (found in traderecon.toml)"
    secrets = secret(here, variable, value.encode())
    monkeypatch.setenv("TRADERECON_SECRETS_DIR", str(secrets))
    assert rejection() == f"{variable}: {message} (found in {secrets / variable})"
    monkeypatch.setenv(variable, value)
    assert rejection() == f"{variable}: {message} (found in the environment)"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("KAFKA_SECURITY", "tls", "write plaintext, ssl, sasl_plaintext or sasl_ssl"),
        ("KAFKA_SASL_MECHANISM", "PLAIN", "write SCRAM-SHA-512 or SCRAM-SHA-256"),
        ("DATABASE_URL", "mysql://u:hunter2@h/db", "write sqlite:///path"),
        ("BROKER", "kafka:/localhost", BROKER_FORM),
        ("TOPIC_PREFIX", "desk 7", "write at most 100 letters, digits, points, underscores and hyphens"),
    ],
)
def test_a_rejection_of_a_text_quotes_it_unless_it_is_in_a_secret_file(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    variable, shown = PREFIX + name, value.replace("u:hunter2", "****")
    (here / "traderecon.toml").write_text(f'{name.lower()} = "{value}"')
    assert rejection() == f"{variable} is {shown!r}: {message} (found in traderecon.toml)"
    secrets = secret(here, variable, value.encode())
    monkeypatch.setenv("TRADERECON_SECRETS_DIR", str(secrets))
    assert rejection() == f"{variable}: {message} (found in {secrets / variable})"
    monkeypatch.setenv(variable, value)
    assert rejection() == f"{variable} is {shown!r}: {message} (found in the environment)"


def test_every_number_names_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [name for name, field in Settings.model_fields.items() if field.annotation is int]
    assert len(numbers) > 5
    for name in numbers:
        monkeypatch.setenv(PREFIX + name.upper(), "x")
    assert rejection().count("write a whole number from ") == len(numbers)


@pytest.mark.parametrize("name", ["TRADERECON_BROKRE", "traderecon_brokre"])
def test_a_secret_with_a_misspelt_name_is_rejected(here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    secrets = secret(here, name, b"kafka://hunter2")
    (secrets / "..data").mkdir()
    (secrets / "other-program").write_text("1")
    monkeypatch.setenv("TRADERECON_SECRETS_DIR", str(secrets))
    assert rejection() == f"{secrets / name}: {name} is not a setting: did you mean TRADERECON_BROKER?"
    (secrets / name).unlink()
    assert load().broker == "embedded://"


@pytest.mark.parametrize("written", ["TRADERECON_GRACE_SECONDS", "GRACE_SECONDS", "grace_second"])
def test_a_name_in_the_file_is_written_without_the_prefix(here: Path, written: str) -> None:
    (here / "traderecon.toml").write_text(f"{written} = 30")
    assert rejection() == f"traderecon.toml: {written} is not a setting: did you mean grace_seconds?"
    (here / "traderecon.toml").write_text("grace_seconds = 30")
    assert load().grace_seconds == 30


def test_values_are_accepted_in_kafkas_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**SASL, "KAFKA_SECURITY": " SASL_SSL", "KAFKA_SASL_MECHANISM": "scram-sha-256"})
    assert (load().kafka_security, load().kafka_sasl_mechanism) == ("sasl_ssl", "SCRAM-SHA-256")


def test_a_value_in_quotation_marks_is_rejected_without_repeating_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_BROKER", '"kafka://hunter2:9092"')
    assert rejection() == "TRADERECON_BROKER: the quotation marks are part of the value: remove them"


@pytest.mark.parametrize("password", ['" hunter2 "', " hunter2 "])
def test_a_password_keeps_its_quotation_marks_and_blanks(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    set_all(monkeypatch, {**SASL, "KAFKA_PASSWORD": password})
    assert load().kafka_password == SecretStr(password)


def test_a_tilde_is_expanded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    set_all(monkeypatch, {"DATA_DIR": "~/trades", "SECRETS_DIR": "~"})
    assert load().data_dir == here / "trades"
    assert load().database_url == f"sqlite:///{here}/trades/traderecon.db"
    monkeypatch.setenv("TRADERECON_DATA_DIR", "~nobody-of-this-name/trades")
    assert rejection().startswith(
        "TRADERECON_DATA_DIR is '~nobody-of-this-name/trades': the home directory that ~ stands for is unknown"
    )


def test_every_path_is_expanded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hints = get_type_hints(Settings, include_extras=True)
    assert [name for name, hint in hints.items() if hint in (Path, Path | None)] == []  # without ``ExpandedPath``
    monkeypatch.setenv("HOME", str(here))
    set_all(monkeypatch, {"CHECKPOINT_KEY_FILE": "~/key.pem"})
    assert load().checkpoint_key_file == here / "key.pem"


def test_every_setting_is_read_somewhere() -> None:
    """A setting that changes nothing is worse than none."""
    package = Path(traderecon.__file__).parent
    code = "".join(path.read_text() for path in package.rglob("*.py") if path.name != "settings.py")
    assert [name for name in Settings.model_fields if not re.search(rf"\.{name}\b", code)] == ["secrets_dir"]


@pytest.mark.parametrize("written", [" ", "\r"])
def test_a_blank_path_is_rejected(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("TRADERECON_DATA_DIR", written)
    assert rejection() == (
        f"TRADERECON_DATA_DIR is {written!r}: write the path of a file or directory (found in the environment)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("web_port = true", "TRADERECON_WEB_PORT: write a whole number"),
        ("broker = 9092", "TRADERECON_BROKER is '9092': write UTF-8 text"),
        ("data_dir = 1", "TRADERECON_DATA_DIR is '1': write UTF-8 text"),
        ('data_dir = "a\\u0000b"', "TRADERECON_DATA_DIR is 'a\\x00b': write the path"),
        ("[web]\nport = 1", "traderecon.toml: [web] is a table, and tables are not supported"),
        ("[traderecon]\ngrace_seconds = 1", "traderecon.toml: [traderecon] is a table, and tables are not supported"),
        ("secrets_dir = 7", "TRADERECON_SECRETS_DIR is '7': there is no such directory"),
    ],
)
def test_a_value_of_another_type_in_the_file_is_rejected(here: Path, text: str, message: str) -> None:
    (here / "traderecon.toml").write_text(text)
    assert rejection().startswith(message)


def test_a_file_that_is_a_directory_is_rejected(here: Path) -> None:
    (here / "traderecon.toml").mkdir()
    assert rejection() == (
        "traderecon.toml: cannot be read (Is a directory): make it a file that this user can read, or remove it"
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@h/db", "postgresql://u:****@h/db"),
        ("postgresql://u:hunter2@h:5432/db?sslmode=require", "postgresql://u:****@h:5432/db?sslmode=require"),
        ("postgresql://:hunter2@h/db", "postgresql://:****@h/db"),
        ("postgresql://u:hun/ter:2@h/db", "postgresql://u:****@h/db"),
        ("postgresql://h/db?user=u&password=hunter2", "postgresql://h/db?user=u&password=****"),
        ("postgresql://h/db?password=hunter2&user=u", "postgresql://h/db?password=****&user=u"),
        ("postgresql://u:hunter2@h/db?password=hunter3&x=1", "postgresql://u:****@h/db?password=****&x=1"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://h:5432/db", "postgresql://h:5432/db"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
    ],
)
def test_a_password_is_masked(monkeypatch: pytest.MonkeyPatch, url: str, shown: str) -> None:
    monkeypatch.setenv("TRADERECON_DATABASE_URL", url)
    assert load().database_url == url
    assert load().masked()["database_url"] == shown


def test_a_password_with_an_at_sign_is_masked_completely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_DATABASE_URL", "postgresql://u:hunter@2@h/db")
    assert load().masked()["database_url"] == "postgresql://u:****@h/db"


SASL = {"KAFKA_SECURITY": "sasl_ssl", "KAFKA_USERNAME": "worker", "KAFKA_PASSWORD": "hunter2"}
TLS = {"KAFKA_SECURITY": "ssl", "KAFKA_CERT_FILE": "ours.pem", "KAFKA_KEY_FILE": "ours.key"}


def set_all(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(PREFIX + name, value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**SASL, "KAFKA_USERNAME": ""}, "KAFKA_USERNAME: required, because TRADERECON_KAFKA_SECURITY is sasl_ssl"),
        ({**SASL, "KAFKA_PASSWORD": ""}, "KAFKA_PASSWORD: required, because TRADERECON_KAFKA_SECURITY is sasl_ssl"),
        ({"KAFKA_PASSWORD": "hunter2"}, "KAFKA_PASSWORD: not used, because TRADERECON_KAFKA_SECURITY is plaintext"),
        ({**TLS, "KAFKA_USERNAME": "hunter2"}, "KAFKA_USERNAME: not used, because TRADERECON_KAFKA_SECURITY is ssl"),
        ({"KAFKA_CA_FILE": "hunter2"}, "KAFKA_CA_FILE: TRADERECON_KAFKA_SECURITY is plaintext, which is not encrypted"),
        ({**TLS, "KAFKA_KEY_FILE": ""}, "KAFKA_KEY_FILE: required, because TRADERECON_KAFKA_CERT_FILE is set"),
        ({**TLS, "KAFKA_CERT_FILE": ""}, "KAFKA_CERT_FILE: required, because TRADERECON_KAFKA_KEY_FILE is set"),
        (
            {**SASL, "KAFKA_SECURITY": "sasl_plaintext", "BROKER": "kafka://localhost:9092;kafka://kafka.example:9092"},
            "KAFKA_SECURITY: sasl_plaintext is only for a broker on loopback; write sasl_ssl",
        ),
    ],
)
def test_contradictory_security_settings_are_rejected_by_name(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
) -> None:
    set_all(monkeypatch, settings)
    assert rejection().startswith(PREFIX + message)
    assert "hunter2" not in rejection()


@pytest.mark.parametrize("broker", ["kafka://127.0.0.1:9092", "kafka://localhost:1;[::1]:2", "embedded://"])
def test_a_cleartext_password_is_only_accepted_for_a_local_broker(monkeypatch: pytest.MonkeyPatch, broker: str) -> None:
    set_all(monkeypatch, {**SASL, "KAFKA_SECURITY": "sasl_plaintext", "BROKER": broker})
    assert load().kafka_security == "sasl_plaintext"


def test_the_kafka_password_is_read_from_a_secret_file_and_never_printed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, {**SASL, "KAFKA_PASSWORD": ""})
    monkeypatch.setenv("TRADERECON_SECRETS_DIR", str(secret(here, "TRADERECON_KAFKA_PASSWORD", b"hunter2\n")))
    settings = load()
    assert settings.kafka_password is not None
    assert settings.kafka_password.get_secret_value() == "hunter2"
    assert settings.masked()["kafka_password"] == "****"
    assert "hunter2" not in f"{settings!r} {settings} {settings.masked()} {settings.model_dump_json()}"


def test_the_kafka_password_is_not_accepted_in_the_file(here: Path) -> None:
    (here / "traderecon.toml").write_text('kafka_password = "hunter2"')
    assert rejection().startswith("TRADERECON_KAFKA_PASSWORD: not accepted in traderecon.toml")
    assert "hunter2" not in rejection()


def test_a_secret_readable_by_everyone_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        file = Path(folder) / "TRADERECON_KAFKA_PASSWORD"
        file.write_text("hunter2")
        file.chmod(0o644)
        Path(folder).chmod(0o755)
        set_all(monkeypatch, {**SASL, "KAFKA_PASSWORD": "", "SECRETS_DIR": folder})
        assert rejection() == (
            f"TRADERECON_KAFKA_PASSWORD: every user of this machine can read {file}; run chmod o-r on it, or chmod o-x "
            "on its directory"
        )
        Path(folder).chmod(0o700)
        assert load().kafka_password is not None
        Path(folder).chmod(0o755)
        file.chmod(0o640)
        assert load().kafka_password is not None
        file.chmod(0o644)
        set_all(monkeypatch, {"SECRETS_DIR": "", **TLS, "KAFKA_USERNAME": "", "KAFKA_KEY_FILE": str(file)})
        assert rejection().startswith("TRADERECON_KAFKA_KEY_FILE: every user of this machine can read")


def test_masked_settings_are_plain_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_RULES", "desk.toml")
    shown = load().masked()
    assert shown.keys() == Settings.model_fields.keys()
    assert all(isinstance(value, str | int | None) for value in shown.values())
    assert shown["rules"] == "desk.toml"


@pytest.mark.parametrize(
    ("environment", "there"), [({}, False), ({"DISPLAY": ":0"}, True), ({"WAYLAND_DISPLAY": "wayland-0"}, True)]
)
def test_a_screen(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, there: bool) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert has_display() is there


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RULES", "GRACE_SECONDS", "SECRETS_DIR", "DATABASE_URL"):
        monkeypatch.setenv(PREFIX + name, "")
    assert load().rules is None
    assert load().grace_seconds == 60
