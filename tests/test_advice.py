"""Advice: what a message, an alert or a document tells a reader to do is there to be done, and helps."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from traderecon.cli import command
from traderecon.intake import COLUMNS, Rows, decode, message_of
from traderecon.records import Fact, Origin, Rejected, Source
from traderecon.settings import PREFIX, ConfigurationError, Settings, load
from traderecon.sink.database import StoreError
from traderecon.sink.store import Store

ROOT = Path(__file__).resolve().parent.parent
TO_COME = {"DOMAIN.md"}
"""It also describes what does not exist yet."""
DOCUMENTS = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in TO_COME),
    ROOT / "docker" / "compose.yaml",
    ROOT / "prometheus" / "rules" / "traderecon.yml",
    *sorted((ROOT / "traderecon").rglob("*.j2")),
]
MODULES = sorted((ROOT / "traderecon").rglob("*.py"))
SETTINGS = {PREFIX + name.upper() for name in Settings.model_fields} | {f"{PREFIX}SECRETS_DIR"}
KUBERNETES = {"kubernetes.py"}
"""It names the variables that are not ours."""
NOT_OURS = {"TRADERECON_PORT"}
"""Named where it is said that it is passed over."""

_COMMAND = re.compile(r"`traderecon ([a-z][^`]*)`|^\s*(?:\$ )?traderecon ([a-z][^\n#]*)", re.MULTILINE)
_SETTING = re.compile(r"\bTRADERECON_[A-Z][A-Z_]*[A-Z]\b")
_GAP = "\u2026"
"""Where a message has a value in it."""


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Every text of a module, a docstring or a message; a value in one is a gap."""
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else _GAP for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def advice() -> Iterator[tuple[str, str]]:
    """Where something is said, and what."""
    for page in DOCUMENTS:
        yield str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
    for module in MODULES:
        for text in texts_of(ast.parse(module.read_text(encoding="utf-8"))):
            yield str(module.relative_to(ROOT)), text


ADVICE = list(advice())


def commands() -> dict[str, set[str]]:
    """Every ``traderecon ...`` that is named, and where."""
    found: dict[str, set[str]] = {}
    for place, text in ADVICE:
        for quoted, line in _COMMAND.findall(text):
            words = re.sub(r"\s+", " ", quoted or (line if place.endswith(".md") else "")).strip()
            if words:
                found.setdefault(words, set()).add(place)
    return found


def unknown(words: str) -> str | None:
    """What of a command line is not there; None: all of it is."""
    at: click.Command = command
    context = click.Context(at, **at.context_settings)
    rest = [word.strip(",;:.") for word in words.split()]
    while isinstance(at, click.Group) and rest and re.fullmatch(r"[a-z][a-z-]*(,[a-z-]+)*", rest[0]):
        name = rest.pop(0)
        found = at.get_command(context, name)
        if found is None:
            return f"no command {name!r}"
        at = found
    options = {name for one in at.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "-h", "--version"}
    if at.name == "torture":
        return None  # its options are the harness's
    given = (word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word))
    return next((f"no option {word!r}" for word in given if word not in options), None)


@pytest.mark.parametrize("words", sorted(commands()))
def test_every_named_command_exists_with_its_options(words: str) -> None:
    assert unknown(words) is None, f"`traderecon {words}` in {', '.join(sorted(commands()[words]))}"


def test_a_missing_command_would_be_found() -> None:
    assert unknown("worker --roles intake") is None
    assert unknown("breaks-of-nobody list") == "no command 'breaks-of-nobody'"
    assert unknown("topics make") == "no command 'make'"
    assert unknown("topics create --partitions 4") == "no option '--partitions'"
    assert len(commands()) > 20


def test_a_setting_that_is_named_is_one() -> None:
    named = {
        (name, place)
        for place, text in ADVICE
        for name in _SETTING.findall(text)
        if Path(place).name not in KUBERNETES and not place.endswith("compose.yaml")
    }
    assert len(named) > 50
    assert not [(name, place) for name, place in sorted(named) if name not in SETTINGS | NOT_OURS]


def test_nothing_that_is_refused_is_offered() -> None:
    offered = [place for place, text in ADVICE if re.search(r"write [^.;]*postgresql|or `{1,2}postgresql", text)]
    assert offered == []
    assert not [place for place, text in ADVICE if "declare the" in text and "unit" in text and place.endswith(".py")]


def test_every_alert_says_what_to_do_and_names_pages_that_are_there() -> None:
    groups = yaml.safe_load((ROOT / "prometheus" / "rules" / "traderecon.yml").read_text(encoding="utf-8"))["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    site = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "traderecon" / "web").glob("*.py")))
    assert alerts
    for alert in alerts:
        said = alert["annotations"]["description"]
        assert said.strip(), alert["alert"]
        for path in re.findall(r"(?<![\w.<>`/])/([a-z][a-z-]*)", said):
            assert f'"/{path}' in site, f"{alert['alert']} names /{path}"


ORIGIN = Origin("executions", 0, 7, 1)
TERMS = {"trade_id": "T1", "ticker": "AAPL", "quantity": "1", "price": "2", "timestamp": "2025-07-26T10:01:23Z"}


def refusal() -> str:
    with pytest.raises(ConfigurationError) as error:
        load()
    return str(error.value)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "value"),
    [("BROKERS", "kafka://a"), ("PORT", "5001"), ("GRACE_SECOND", "5"), ("DATABASE_URI", "sqlite:///t")],
)
def test_the_name_that_a_refusal_suggests_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    (suggested,) = re.findall(r"did you mean (\w+)\?", refusal())
    monkeypatch.delenv(PREFIX + name)
    monkeypatch.setenv(suggested, value)
    assert load().model_fields_set == {suggested.removeprefix(PREFIX).lower()}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("written", ["a:9092", "kafka://::1:9092", "kafka://a:9092/b", "ssl://a:9092"])
def test_a_broker_in_the_form_that_a_refusal_gives_is_taken(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("TRADERECON_BROKER", written)
    advice = refusal().removeprefix(f"TRADERECON_BROKER is {written!r}: ")
    forms = re.findall(r"(?:kafka|embedded)://[^\s;]*", advice)
    assert forms
    for form in forms:
        monkeypatch.setenv("TRADERECON_BROKER", form)
        assert load().broker


@pytest.mark.usefixtures("here")
def test_a_database_in_the_form_that_a_refusal_gives_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRADERECON_DATABASE_URL", "postgresql://h/db")
    with pytest.raises(StoreError, match="set TRADERECON_DATABASE_URL to sqlite:///path, or leave it empty"):
        Store.open(load().database_url)
    for url in (f"sqlite:///{tmp_path}/t.db", ""):
        monkeypatch.setenv("TRADERECON_DATABASE_URL", url)
        Store.open(load().database_url).close()


@pytest.mark.parametrize("sent", ["1753524083000", "26/07/2025 10:01", "yesterday"])
def test_a_timestamp_in_the_form_that_a_rejection_gives_is_read(sent: str) -> None:
    def read(timestamp: str) -> Fact | Rejected:
        cells = ",".join({**TERMS, "timestamp": timestamp}.values())
        return decode(Source.EXECUTIONS, message_of(COLUMNS[Source.EXECUTIONS], cells), ORIGIN)

    rejected = read(sent)
    assert isinstance(rejected, Rejected)
    (form,) = re.findall(r"send ISO 8601 like (\S+)", rejected.text)
    assert isinstance(read(form), Fact)


def test_a_line_that_is_mended_as_its_rejection_says_is_read() -> None:
    columns = COLUMNS[Source.EXECUTIONS]
    header, line = ",".join(columns), ",".join(TERMS[name] for name in columns)
    for broken in (f"{line},one more", f'"{line}', f"{line}\udcff"):
        rejected = decode(Source.EXECUTIONS, message_of(columns, broken), ORIGIN)
        assert isinstance(rejected, Rejected)
        assert rejected.code == "SCHEMA_INVALID"
        assert "a cell for each column, quotes closed, UTF-8" in rejected.text
        assert isinstance(Rows(Source.EXECUTIONS, header).decode(broken, ORIGIN), Rejected)
    assert isinstance(decode(Source.EXECUTIONS, message_of(columns, line), ORIGIN), Fact)
