"""Stories as data: what came in, in which order, and what must be said about it.

    tests/scenarios/*.toml -> Scenario -> steps -> play -> Played(results, rejected, states)     the core
                                       -> tests/story: the same stories in every other engine

The format is described in tests/scenarios/README.md; what a story misspells is refused.
"""

import csv
import io
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from traderecon.intake import Rows, SourceSettings, decode
from traderecon.matching import Arrival, add, judge_facts, result_of
from traderecon.matching.lifecycle import judge_trade
from traderecon.records import (
    Fact,
    Hint,
    Origin,
    Outcome,
    Reason,
    RejectCode,
    Rejected,
    Result,
    Source,
    State,
    Transition,
    Verdict,
)
from traderecon.records.instants import FOREVER_NS
from traderecon.records.match_keys import as_ambiguous, claims_namesake, has_partial_key
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import parse_rules
from traderecon.rules.wording import Finding
from traderecon.sourcebook import sources_of

FOLDER = Path(__file__).parent / "scenarios"

MAX_PERMUTED = 6
"""A story in any order has at most this many messages: 720 orders."""


MIN_REASON_WORDS = 4
"""A reason why a story does not run in an engine has at least this many words."""


class Grace(Enum):
    """Whether every grace has passed, or none."""

    RUNNING = "running"
    OVER = "over"


class Engine(StrEnum):
    """What runs a story besides the core."""

    BATCH = "batch"
    """``traderecon reconcile`` over files."""
    STREAM = "stream"
    """The worker on the embedded log."""
    KAFKA = "kafka"
    """The worker on Kafka."""


class Message(NamedTuple):
    """One record of a topic; ``fields`` is None where the story gives the bytes, ``value`` for a tombstone."""

    topic: Source
    value: bytes | None
    fields: dict[str, Any] | None


Step = Fact | Rejected | Grace


class _Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Trade(_Told, frozen=True):
    """What must be said of a trade; ``checks`` names those that matter, ``hints`` is complete where given.

    ``arrival_hints`` come from arrival times, which the core and a file have not.
    """

    trade_id: str
    state: State
    reasons: tuple[Reason, ...] = ()
    checks: dict[str, Outcome] = {}
    hints: tuple[Hint, ...] | None = None
    arrival_hints: tuple[Hint, ...] = ()


class Reject(_Told, frozen=True):
    """What must be said of a message that is no leg."""

    topic: Source
    code: RejectCode


class Scenario(_Told, frozen=True):
    """One story. ``states``, ``arrivals`` and ``breaks`` tell the way there, in the order of ``in``.

    ``sources``: the tables [sources.<topic>] of a rules file. ``not_in``: the engines that cannot run it, each with the
    reason.
    """

    about: str
    rules: str
    sent: tuple[dict[str, Any], ...] = msgspec.field(name="in")
    out: tuple[Trade, ...]
    rejected: tuple[Reject, ...] = ()
    sources: dict[Source, dict[str, Any]] = {}
    grace: Grace = Grace.OVER
    any_order: bool = False
    states: tuple[State, ...] | None = None
    arrivals: tuple[Arrival, ...] | None = None
    breaks: tuple[Transition, ...] | None = None
    not_in: dict[Engine, str] = {}

    @property
    def messages(self) -> list[Message | Grace]:
        """What arrives, and where a grace passes."""
        return [Grace(entry["grace"]) if "grace" in entry else _message(dict(entry)) for entry in self.sent]

    @property
    def tells_the_way(self) -> bool:
        """Whether it matters what is said between the messages."""
        return self.states is not None or self.breaks is not None or Grace.OVER in self.messages

    @property
    def parsed_rules(self) -> Rules:
        """The founding rules, or those of the rules file that the story holds."""
        return FOUNDING if self.rules == "founding" else parse_rules(self.rules)

    def settings(self, topic: Source) -> SourceSettings:
        """How a source writes its records."""
        findings: list[Finding] = []
        tables = {source.value: table for source, table in self.sources.items()}
        settings = sources_of(tables, self.parsed_rules, findings)[topic]
        if findings:
            raise ValueError(f"the story has sources that are not valid: {findings[0].text}")
        return settings


class Played(NamedTuple):
    """How a story ended: each trade's result; the way of its (only) trade: states, and changes of its break."""

    results: dict[str, Result]
    rejected: list[Rejected]
    states: list[State]
    arrivals: list[Arrival]
    breaks: list[Transition]


def load(path: Path) -> Scenario:
    """Read one story; ValueError says what is wrong with it."""
    told = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=_as_sent)
    scenario = msgspec.convert(told, Scenario)
    if not scenario.any_order and scenario.states is None and scenario.arrivals is None:
        raise ValueError(f"{path.name}: an order that matters has states or arrivals; else say any_order = true")
    if scenario.any_order and (len(scenario.sent) > MAX_PERMUTED or Grace.OVER in scenario.messages):
        raise ValueError(f"{path.name}: any order is for at most {MAX_PERMUTED} messages, before the grace is over")
    if vague := [engine for engine, reason in scenario.not_in.items() if len(reason.split()) < MIN_REASON_WORDS]:
        raise ValueError(f"{path.name}: say why not in {', '.join(vague)}, in a sentence")
    return scenario


def stories() -> dict[str, Scenario]:
    """Every story, by the stem of its file."""
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.toml"))}


def as_messages(scenario: Scenario) -> list[Step]:
    """Every message decoded from its JSON bytes."""
    return [
        message if isinstance(message, Grace) else _decoded(scenario, message, offset)
        for offset, message in enumerate(scenario.messages)
    ]


def as_rows(scenario: Scenario) -> list[Step]:
    """Every message that is plain fields decoded from a CSV row under its topic's header, the others from their bytes.

    A header has the columns of the source and every field that one of its messages has; a field not sent is empty.
    """
    messages = scenario.messages
    headers: dict[Source, list[str]] = {}
    for message in messages:
        if isinstance(message, Message) and message.fields is not None:
            names = headers.setdefault(message.topic, list(scenario.settings(message.topic).columns(message.topic)))
            names.extend(name for name in message.fields if name not in names)
    readers = {topic: Rows(topic, _line(names), scenario.settings(topic)) for topic, names in headers.items()}
    steps: list[Step] = []
    for offset, message in enumerate(messages):
        if isinstance(message, Grace):
            steps.append(message)
        elif message.fields is None:
            steps.append(_decoded(scenario, message, offset))
        else:
            line = _line([_cell(message.fields.get(name, "")) for name in headers[message.topic]])
            steps.append(readers[message.topic].decode(line, Origin(message.topic, 0, offset)))
    return steps


def play(steps: Iterable[Step], rules: Rules, grace: Grace = Grace.OVER) -> Played:
    """Gather the facts in this order and judge them; ``grace`` is where time has got at the end."""
    facts: dict[str, tuple[Fact, ...]] = {}
    rejected: list[Rejected] = []
    verdicts: list[Verdict] = []
    arrivals: list[Arrival] = []
    now = Grace.RUNNING
    for step in steps:
        if isinstance(step, Grace):
            now = step
        elif isinstance(step, Rejected):
            rejected.append(step)
        else:
            trade_id = step.leg.trade_id
            facts[trade_id], arrival = add(facts.get(trade_id, ()), step)
            arrivals.append(arrival)
        verdicts.append(judge_facts(next(iter(facts.values()), ()), _watermark_ns(now), rules))
    stamp = rules.stamp()
    results = {
        trade_id: result_of(judge_trade(known, _watermark_ns(grace), rules), stamp)
        for trade_id, known in with_partial_keys(facts).items()
    }
    ends = [next(iter(results.values())).verdict] if results else []
    states = [verdict.state for verdict in verdicts]
    return Played(results, rejected, states, arrivals, _breaks([*verdicts, *ends]))


def with_partial_keys(facts: Mapping[str, tuple[Fact, ...]]) -> dict[str, tuple[Fact, ...]]:
    """The trades with what their namesakes and they share: a record with a partial key alone is no trade.

    A snapshot alone is none that such a record may be about.
    """
    every = [fact for known in facts.values() for fact in known]
    trades = {trade_id: known for trade_id, known in facts.items() if not has_partial_key(known[0].leg)}
    claimed = {trade_id: known for trade_id, known in trades.items() if any(map(claims_namesake, known))}
    namesakes = Counter(known[0].leg.sent_id for known in claimed.values())
    for trade_id, known in claimed.items():
        sent_id = known[0].leg.sent_id
        shared = [fact for fact in every if has_partial_key(fact.leg) and fact.leg.sent_id == sent_id]
        trades[trade_id] = (*known, *(map(as_ambiguous, shared) if namesakes[sent_id] > 1 else shared))
    return trades


def _breaks(verdicts: Iterable[Verdict]) -> list[Transition]:
    """What the results do to the break of their trade. A pending trade has no result."""
    results = [(it.state, it.reasons) for it in verdicts if it.state is not State.PENDING]
    steps = [Transition.between(before, after) for before, after in zip([None, *results], results, strict=False)]
    return [step for step in steps if step is not Transition.NONE]


def fields_of(scenario: Scenario, topic: Source) -> dict[str, str]:
    """The fields of the first message of a topic, as text; for stories whose messages are plain."""
    for message in scenario.messages:
        if isinstance(message, Message) and message.topic is topic and message.fields is not None:
            return {name: _cell(value) for name, value in message.fields.items()}
    raise ValueError(f"the story has no plain message of {topic}")


def _message(entry: dict[str, Any]) -> Message:
    """``raw`` (with ``repeat``) or ``raw_hex`` is bytes as they are, ``tombstone`` no value, the rest plain fields."""
    topic = Source(entry.pop("topic"))
    if "raw" in entry:
        raw: str = entry.pop("raw")
        for mark, (text, times) in entry.pop("repeat", {}).items():
            raw = raw.replace(mark, text * times)
        return _bytes(topic, raw.encode(), entry)
    if "raw_hex" in entry:
        return _bytes(topic, bytes.fromhex(entry.pop("raw_hex")), entry)
    if entry.pop("tombstone", False):
        return _bytes(topic, None, entry)
    return Message(topic, msgspec.json.encode(entry), entry)


def _bytes(topic: Source, value: bytes | None, rest: dict[str, Any]) -> Message:
    if rest:
        raise ValueError(f"a message given as bytes has no fields, and this one has {sorted(rest)}")
    return Message(topic, value, None)


def _decoded(scenario: Scenario, message: Message, offset: int) -> Fact | Rejected:
    return decode(message.topic, message.value, Origin(message.topic, 0, offset), scenario.settings(message.topic))


def _as_sent(number: str) -> msgspec.Raw:
    """A TOML float as a JSON number with the same text: never a binary float."""
    return msgspec.Raw(number.encode())


def _cell(value: object) -> str:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _watermark_ns(grace: Grace) -> int:
    return FOREVER_NS if grace is Grace.OVER else 0
