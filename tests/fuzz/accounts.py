"""The accounts of a fuzzed run: every message is a leg in the journal or a dead letter, once, and every trade is told.

    Accounts(installation).sent(...) -> settled() -> figures            AccountError says which message, and what of it

What stands in the topics is read back from the log itself. A leg is what ``decode`` makes of the message, and comes
back from the journal as it was; a trade's newest result is what the oracle says of the messages that were taken.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from fuzz.messages import SNAPSHOTS, Fed
from oracle import FOUNDING, Row, find
from pipeline_case import Installation

from traderecon.intake import decode
from traderecon.records import Fact, Origin, identity
from traderecon.records.bounds import FACTS_PER_SIDE
from traderecon.records.journal import decode_fact, encode_journal
from traderecon.transport import partition_for
from traderecon.transport.log import Log, Record

READ = 2_000
Place = tuple[str, int, int]
"""Topic, partition, offset."""


class AccountError(AssertionError):
    """Something does not add up."""


class NewestResult(NamedTuple):
    """The newest result of a trade."""

    version: int
    state: str
    reasons: list[str]


class Accounts:
    """What was sent to an installation, and what is found of it; one round of messages after the other."""

    def __init__(self, installation: Installation) -> None:
        self.figures: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self._installation, self._topics = installation, installation.topics
        self._read_up_to: Counter[tuple[str, int]] = Counter()
        self._open: dict[Place, Fed] = {}
        self._told: dict[str, NewestResult] = {}
        self._round_of: dict[str, int] = {}
        self._round = 0

    def sent(self, topic: str, partition: int, offset: int, fed: Fed) -> None:
        """Take note of a message that the log has."""
        self._open[topic, partition, offset] = fed
        self.figures["sent"] += 1

    def settled(self) -> None:
        """Check a round that is decided and stored. Raises AccountError."""
        self._round += 1
        rows: defaultdict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        facts: defaultdict[str, set[str]] = defaultdict(set)
        with Log.open(self._installation.data_dir / "log.db") as log:
            for place, record in self._new(log, self._topics.legs):
                if record.key is not None:
                    fact = self._leg(place, record)
                    trade_id = fact.leg.trade_id
                    facts[trade_id].add(identity(fact.leg))
                    rows[trade_id][fact.leg.source].append(self._row(fact))
                    del self._open[_place(fact.origin)]
            self._letters(log)
            if self._open:
                raise AccountError(f"{len(self._open)} messages are neither leg nor dead letter: {self._any_open()}")
            for topic in (self._topics.reconciled, self._topics.mismatch):
                for _, record in self._new(log, topic):
                    self._result(record)
        self._judge(rows, facts)

    def closed(self) -> None:
        """Compare the database with what was told. Raises AccountError."""
        stored = {
            trade_id: NewestResult(version, state, json.loads(reasons))
            for trade_id, version, state, reasons in self._installation.rows(
                "SELECT trade_id, version, state, reasons FROM results"
            )
        }
        if stored != self._told:
            differing = [key for key in stored.keys() | self._told.keys() if stored.get(key) != self._told.get(key)]
            raise AccountError(f"{len(differing)} trades are stored otherwise than told: {differing[:3]}")
        letters = self._installation.one("SELECT count(*) FROM dead_letters")
        if letters != self.figures["rejected"]:
            raise AccountError(f"{letters} dead letters are stored, {self.figures} were sent")
        self.figures["trades"] = len(stored)

    def _leg(self, place: Place, record: Record) -> Fact:
        value = record.value or b""
        fact = decode_fact(value)
        if encode_journal(fact) != value:
            raise AccountError(f"the leg at {place} does not come back as it was: {value!r}")
        key = fact.leg.trade_id.encode()
        if record.key != key or place[1] != partition_for(key, self._installation.partitions):
            raise AccountError(f"the leg at {place} is not where its trade is: {value!r}")
        fed = self._fed(fact.origin)
        again = decode(self._topics.inputs[fact.origin.topic], fed.value, fact.origin)
        if not isinstance(again, Fact) or encode_journal(again) != value:
            raise AccountError(f"{fed} became {value!r}, and is {again}")
        self.figures["legs"] += 1
        return fact

    def _letters(self, log: Log) -> None:
        for _, record in self._new(log, self._topics.dead_letters):
            letter: dict[str, Any] = json.loads(record.value or b"")
            self.codes[letter["code"]] += 1
            if letter["topic"] == self._topics.legs:
                raise AccountError(f"matching could not go on: {letter}")
            origin = Origin(letter["topic"], letter["partition"], letter["offset"], 0)
            fed = self._fed(origin)
            again = decode(self._topics.inputs[origin.topic], fed.value, origin)
            if isinstance(again, Fact) or again.code != letter["code"]:
                raise AccountError(f"{fed} is a dead letter {letter}, and is {again}")
            del self._open[_place(origin)]
            self.figures["rejected"] += 1

    def _fed(self, origin: Origin) -> Fed:
        fed = self._open.get(_place(origin))
        if fed is None:
            raise AccountError(f"{origin} was sent never, or is there twice")
        return fed

    def _any_open(self) -> Fed:
        return next(iter(self._open.values()))

    def _row(self, fact: Fact) -> Row:
        """The fields that were sent, as text."""
        text = (self._fed(fact.origin).value or b"").decode("utf-8-sig", "surrogateescape")
        members = json.loads(text, parse_int=str, parse_float=str, strict=False)
        return {name: sent for name, sent in members.items() if isinstance(sent, str)}

    def _result(self, record: Record) -> None:
        result = json.loads(record.value or b"", parse_constant=_refused)  # as audit verify does
        told = NewestResult(result["version"], result["state"], result["reasons"])
        before = self._told.get(result["trade_id"])
        if before is None or told.version > before.version:
            self._told[result["trade_id"]] = told
        elif told.version == before.version and told != before:
            raise AccountError(f"two results of one version: {before} and {result}")

    def _judge(self, rows: Mapping[str, Mapping[str, list[Row]]], facts: Mapping[str, set[str]]) -> None:
        for trade_id, by_source in rows.items():
            first_round = self._round_of.setdefault(trade_id, self._round)
            told = self._told.get(trade_id)
            if told is None:
                if set(by_source) != {SNAPSHOTS}:
                    raise AccountError(f"trade {trade_id!r} waits for ever: {by_source}")
                continue
            self.figures["results"] += 1
            # Of one whose messages lie in two rounds, or of which some were put aside, the rows here are not all.
            if first_round != self._round or len(facts[trade_id]) > FACTS_PER_SIDE:
                continue
            executions, confirmations, snapshots = (by_source.get(name, []) for name in self._topics[:3])
            finding = find(executions, confirmations, snapshots, FOUNDING)
            if (finding.state, finding.reasons) != told[1:]:
                raise AccountError(f"trade {trade_id!r} is {told}, the oracle says {finding}: {by_source}")
            self.figures["judged"] += 1

    def _new(self, log: Log, topic: str) -> Iterator[tuple[Place, Record]]:
        """The records of a topic since the last round."""
        for partition in range(log.partitions(topic)):
            while found := log.read(topic, partition, self._read_up_to[topic, partition], READ):
                for record in found:
                    yield (topic, partition, record.offset), record
                self._read_up_to[topic, partition] = found[-1].offset + 1


def _place(origin: Origin) -> Place:
    return origin.topic, origin.partition, origin.offset


def _refused(constant: str) -> NoReturn:
    raise AccountError(f"a result has {constant}, which is no JSON")
