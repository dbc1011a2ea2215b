"""The pipeline's oracle: what topics and database must contain, given the inputs.

    inputs -> rows -> verdict per trade (tests/oracle.py)     against     journal, results, dead letters, SQL

At any time: committed input was processed, one trade and version has one event, the same event has the same bytes, the
database agrees with the topics, and its chains verify. Once everything is settled and every grace has expired: the
newest row of each trade is the verdict on all its legs, and every malformed record has a dead letter.

Pure: lists in, findings out. It shares no code with the product. Source: CONTRACT.md, Topics, Database.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, NamedTuple

from oracle import FOUNDING, find

from torture.completeness import judge_completeness
from torture.findings import NOWHERE, Defect, Entry, Finding
from torture.pipeline_evidence import (
    applied_in,
    judge_accounts,
    judge_breaks,
    judge_checkpoints,
    judge_dead_letters,
    judge_evidence,
    judge_graces,
    judge_offsets,
    judge_tables,
)
from torture.pipeline_input import CONFIRMATIONS, EXECUTIONS, PNL, Row, row_of

INPUTS = (EXECUTIONS, CONFIRMATIONS, PNL)
LEGS, RECONCILED, MISMATCH, DEAD_LETTERS, STANDINGS = "legs", "reconciled", "mismatch", "dead_letters", "standings"
ACCOUNTS, CHECKPOINTS, CHANGELOG = "accounts", "checkpoints", "changelog"
OUTPUTS = (RECONCILED, MISMATCH, DEAD_LETTERS)
BREAKS = frozenset({"MISMATCHED", "UNMATCHED"})
PARTITIONS = 4
START = "0" * 64

Origin = tuple[str, int, int]
"""Role, partition, offset."""


@dataclass
class Database:
    """The tables of the sink's database, rows as column-value mappings; topics are full names."""

    results: list[dict[str, Any]] = field(default_factory=list)
    result_history: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    breaks: list[dict[str, Any]] = field(default_factory=list)
    standings: list[dict[str, Any]] = field(default_factory=list)
    sink_offsets: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)


class Result(NamedTuple):
    """A result on a topic."""

    role: str
    entry: Entry
    event_id: str
    trade_id: str
    version: int
    state: str

    @property
    def home(self) -> str:
        """The topic it belongs to."""
        return MISMATCH if self.state in BREAKS else RECONCILED


@dataclass
class PipelineHistory:
    """Everything that is judged; read in the order of the fields, so that later fields are more recent.

    ``names``: full names by role; ``topics``: records by role. ``committed``: the next offsets of intake (inputs),
    matching (legs) and the sink (its topics). ``graces_end_s``: when, in seconds since 1970, the grace of the last
    record fed expires. ``appended_ms``: when the broker appended an input record, if the topic has that timestamp.
    ``accounts_ends``: the end offsets of ``accounts`` before the database was read; later accounts (log time advances
    when nothing is fed) need not be stored yet.
    """

    names: Mapping[str, str]
    graces_end_s: float
    acknowledged: Mapping[str, Sequence[Entry]]
    committed: Mapping[tuple[str, int], int]
    database: Database
    topics: Mapping[str, Sequence[Entry]]
    appended_ms: Mapping[Origin, int] = field(default_factory=dict)
    grace_s: float = 0.0
    accounts_ends: Mapping[int, int] | None = None
    poison: frozenset[Origin] = frozenset()
    """Records beside the inputs on which a bug was built in: each has to have a dead letter."""

    def findings(self) -> list[Finding]:
        """Every defect so far; verdicts of trades are judged only when everything is settled."""
        return list(
            chain(
                self._judge_inputs(),
                self._judge_intake(),
                self._judge_results(),
                self._judge_database(),
                self._judge_chains(),
                self._judge_checkpoints(),
                self._judge_offsets(),
                self._judge_accounts(),
                self._judge_tables(),
                judge_dead_letters(self.database.dead_letters, self._sources, self._roles),
                *(
                    ()
                    if self._open_work
                    else (
                        self._judge_trades(),
                        self._judge_dead_letters(),
                        self._judge_breaks(),
                        self._judge_ledger(),
                    )
                ),
            )
        )

    def unsettled(self) -> list[str]:
        """The work that is not committed, not decided, or not in the database yet."""
        return self._open_work

    @property
    def busy(self) -> bool:
        """Whether it is not settled."""
        return bool(self._open_work)

    @property
    def digest(self) -> str:
        """A digest of the newest result of every trade, which no schedule may change. Twelve hexadecimal digits."""
        columns = ("trade_id", "version", "event_id", "state", "reasons")
        newest = sorted([str(row[name]) for name in columns] for row in self.database.results)
        return hashlib.sha256(json.dumps(newest).encode()).hexdigest()[:12]

    @property
    def trades(self) -> int:
        """How many trades are in the inputs."""
        return len({row["trade_id"] for row in self.rows.values() if row is not None})

    @property
    def repeated(self) -> int:
        """How many results were published more than once on a topic."""
        return sum(times - 1 for times in Counter((result.role, result.event_id) for result in self.results).values())

    @property
    def entries(self) -> Mapping[str, Sequence[Entry]]:
        """Every record, by topic."""
        return self.topics

    @cached_property
    def results(self) -> list[Result]:
        """Every result, in the order of the topics."""
        return [_result(role, entry) for role in (RECONCILED, MISMATCH) for entry in self.topics[role]]

    @cached_property
    def rows(self) -> dict[Origin, Row | None]:
        """Every input record as a row, None if malformed."""
        return {
            (role, entry.partition, entry.offset): row_of(role, entry.value)
            for role in INPUTS
            for entry in self.topics[role]
        }

    @cached_property
    def _open_work(self) -> list[str]:
        open_work = []
        for role in INPUTS:
            behind = sum(
                max(0, end - self.committed.get((role, number), 0)) for number, end in _ends(self.topics[role]).items()
            )
            open_work += [f"intake has {behind} of {role} to commit"] if behind else []
        facts = [entry for entry in self.topics[LEGS] if entry.key is not None]
        behind = sum(max(0, end - self.committed.get((LEGS, number), 0)) for number, end in _ends(facts).items())
        open_work += [f"matching has {behind} of the journal to commit"] if behind else []
        pending_by_partition = [
            json.loads(row["pending"]) for row in self.database.standings if self._graces_over(row["watermark"])
        ]
        if len(pending_by_partition) < PARTITIONS:
            open_work.append(f"the last grace is over in {len(pending_by_partition)} of {PARTITIONS} partitions")
        elif waiting := sum(sum(pending.values()) for pending in pending_by_partition):
            open_work.append(f"{waiting} trades wait")
        stored = {(row["topic"], row["partition"]): row["next_offset"] for row in self.database.sink_offsets}
        for role in (*OUTPUTS, *((ACCOUNTS,) if self.database.ledger else ())):
            ends = _ends(self.topics.get(role, ()))
            if role == ACCOUNTS and self.accounts_ends is not None:
                ends = dict(self.accounts_ends)
            behind = sum(max(0, end - stored.get((self.names[role], number), 0)) for number, end in ends.items())
            open_work += [f"the sink has {behind} of {role} to store"] if behind else []
        return open_work

    def _graces_over(self, watermark: str | None) -> bool:
        return watermark is not None and datetime.fromisoformat(watermark).timestamp() >= self.graces_end_s

    def _judge_inputs(self) -> Iterator[Finding]:
        """INPUT: an acknowledged record is not in the log, so the log is no basis for a judgement."""
        for role, acknowledged in self.acknowledged.items():
            entries_by_offset = {(entry.partition, entry.offset): entry for entry in self.topics[role]}
            for entry in acknowledged:
                if entries_by_offset.get((entry.partition, entry.offset)) != entry:
                    yield Finding(Defect.INPUT, entry.partition, entry.offset, f"acknowledged in {role}, and gone")

    def _judge_intake(self) -> Iterator[Finding]:
        """LOST: a committed record is neither in the journal nor a dead letter. WRONG: it is in the wrong one."""
        facts = {self._origin_of(json.loads(entry.value or b"")["origin"]) for entry in self.topics[LEGS] if entry.key}
        dead_letters = {self._origin_of(json.loads(entry.value or b"")) for entry in self.topics[DEAD_LETTERS]}
        for origin, row in self.rows.items():
            role, partition, offset = origin
            description = f"{role} {'has a leg of ' + row['trade_id'] if row else 'has a malformed record'}"
            if (row and origin in dead_letters) or (not row and origin in facts):
                yield Finding(Defect.WRONG, partition, offset, f"{description}, and intake took it for the other", "I1")
            elif origin not in (facts if row else dead_letters) and offset < self.committed.get((role, partition), 0):
                yield Finding(
                    Defect.LOST, partition, offset, f"{description}, committed, and intake handed nothing on", "I1"
                )
        for origin in (facts | dead_letters) - self.rows.keys() - self.poison:
            yield Finding(
                Defect.WRONG, *origin[1:], f"intake made something of a record that {origin[0]} does not have", "I1"
            )

    def _origin_of(self, origin: Mapping[str, Any]) -> Origin:
        return self._roles.get(origin["topic"], origin["topic"]), origin["partition"], origin["offset"]

    @cached_property
    def _roles(self) -> dict[str, str]:
        return {name: role for role, name in self.names.items()}

    def _judge_results(self) -> Iterator[Finding]:
        """CONFLICT: two events of one version, two texts of one event. LOST: a result missing on a topic."""
        events: dict[tuple[str, int], str] = {}
        values_by_event: dict[str, bytes | None] = {}
        roles_by_event: dict[str, set[str]] = defaultdict(set)
        versions: dict[str, dict[int, Result]] = defaultdict(dict)
        for result in self.results:
            position, description = result.entry[:2], f"{result.trade_id} version {result.version} on {result.role}"
            if events.setdefault((result.trade_id, result.version), result.event_id) != result.event_id:
                yield Finding(Defect.CONFLICT, *position, f"{description}: two events", "I3")
            if values_by_event.setdefault(result.event_id, result.entry.value) != result.entry.value:
                yield Finding(Defect.CONFLICT, *position, f"{description}: two texts", "I3")
            roles_by_event[result.event_id].add(result.role)
            versions[result.trade_id].setdefault(result.version, result)
        # The results of one trade are in order only if none is in flight to the other topic.
        for trade_id, by_version in versions.items() if not self._open_work else ():
            in_order = [by_version[version] for version in sorted(by_version)]
            for previous, result in pairwise([in_order[0], *in_order]):
                missing = {previous.home, result.home} - roles_by_event[result.event_id]
                if missing:
                    text = f"{trade_id} version {result.version} is not on {' and '.join(sorted(missing))}"
                    yield Finding(Defect.LOST, *result.entry[:2], text, "I3")

    def _judge_database(self) -> Iterator[Finding]:
        """WRONG: a row that does not follow from the topics. DOUBLED: an event or a dead letter twice."""
        database = self.database
        for event_id, times in Counter(row["event_id"] for row in database.result_history).items():
            if times > 1:
                yield Finding(
                    Defect.DOUBLED, NOWHERE, NOWHERE, f"event {event_id} is in the history {times} times", "I4"
                )
        origins = Counter(
            (row["source_topic"], row["source_partition"], row["source_offset"]) for row in database.dead_letters
        )
        for origin, times in origins.items():
            if times > 1:
                yield Finding(Defect.DOUBLED, NOWHERE, NOWHERE, f"{origin} has {times} dead letters", "I4")
        highest: dict[str, tuple[int, str, str]] = {}
        for row in database.result_history:
            previous = highest.get(row["trade_id"])
            if previous is None or row["version"] > previous[0]:
                highest[row["trade_id"]] = (row["version"], row["event_id"], row["state"])
        newest = {row["trade_id"]: (row["version"], row["event_id"], row["state"]) for row in database.results}
        open_breaks = {row["trade_id"] for row in database.breaks if row["status"] != "RESOLVED"}
        for trade_id in sorted(highest.keys() | newest.keys()):
            stored, expected = newest.get(trade_id), highest.get(trade_id)
            if stored != expected:
                text = f"the row of {trade_id} is {stored}, the newest in its history {expected}"
                yield Finding(Defect.WRONG, NOWHERE, NOWHERE, text, "I4")
            elif stored and (stored[2] in BREAKS) != (trade_id in open_breaks) and not self._open_work:
                yield Finding(
                    Defect.WRONG, NOWHERE, NOWHERE, f"{trade_id} is {stored[2]}, its break says otherwise", "I4"
                )

    def _judge_chains(self) -> Iterator[Finding]:
        """CHAIN: a link that does not follow from the previous one, or from the record on the topic."""
        records = {
            (self.names[role], entry.partition, entry.offset): entry.value or b""
            for role in (RECONCILED, MISMATCH, DEAD_LETTERS)
            for entry in self.topics[role]
        }
        heads: dict[tuple[str, int], str] = {}
        rows = [*self.database.result_history, *self.database.dead_letters]
        for row in sorted(rows, key=lambda row: (row["topic"], row["partition"], row["offset"])):
            topic, partition, offset = position = row["topic"], row["partition"], row["offset"]
            content = records.get(position, b"")
            if "result" in row and row["result"].encode() != content:
                yield Finding(Defect.CHAIN, partition, offset, f"{topic} has another text than the history", "I6")
            link_text = (
                f"{heads.get(position[:2], START)} {topic} {partition} {offset} {hashlib.sha256(content).hexdigest()}"
            )
            heads[position[:2]] = hashlib.sha256(link_text.encode()).hexdigest()
            if row["chain"] != heads[position[:2]]:
                yield Finding(Defect.CHAIN, partition, offset, f"the link of {topic} does not follow", "I6")
                heads[position[:2]] = row["chain"]
        for row in self.database.sink_offsets:
            head = heads.get((row["topic"], row["partition"]), START)
            if row["head"] != head:
                text = f"the head of {row['topic']} is not its last link"
                yield Finding(Defect.CHAIN, row["partition"], row["next_offset"], text, "I6")

    @cached_property
    def _sources(self) -> dict[Origin, bytes | None]:
        return {(role, entry.partition, entry.offset): entry.value for role in INPUTS for entry in self.topics[role]}

    def _judge_checkpoints(self) -> Iterator[Finding]:
        heads: dict[tuple[str, int], dict[int, str]] = defaultdict(lambda: {0: START})
        for row in (*self.database.result_history, *self.database.dead_letters):
            heads[row["topic"], row["partition"]][row["offset"] + 1] = row["chain"]
        for row in self.database.sink_offsets:
            heads[row["topic"], row["partition"]][row["next_offset"]] = row["head"]
        return judge_checkpoints(self.topics.get(CHECKPOINTS, ()), heads)

    def _judge_offsets(self) -> Iterator[Finding]:
        stored = {
            (self._roles[row["topic"]], row["partition"]): row["next_offset"]
            for row in self.database.sink_offsets
            if self._roles.get(row["topic"]) in OUTPUTS
        }
        ends = {(role, number): end for role in OUTPUTS for number, end in _ends(self.topics[role]).items()}
        committed = {tp: offset for tp, offset in self.committed.items() if tp[0] in (*OUTPUTS, LEGS)}
        if CHANGELOG not in self.topics:
            committed = {tp: offset for tp, offset in committed.items() if tp[0] != LEGS}
        applied = applied_in(self.topics.get(CHANGELOG, ()), self.names[LEGS])
        return judge_offsets(committed, stored, ends, applied, LEGS)

    def _judge_tables(self) -> Iterator[Finding]:
        """I15: what the group has committed is in the table, if its changelog was read."""
        if CHANGELOG not in self.topics:
            return iter(())
        dead_letters = (json.loads(entry.value or b"") for entry in self.topics[DEAD_LETTERS])
        rejected = {
            (dead_letter["partition"], dead_letter["offset"])
            for dead_letter in dead_letters
            if dead_letter["topic"] == self.names[LEGS]
        }
        committed = {number: offset for (role, number), offset in self.committed.items() if role == LEGS}
        return judge_tables(self.topics[CHANGELOG], self.topics[LEGS], rejected, committed)

    def _judge_accounts(self) -> Iterator[Finding]:
        if not (accounts := self.topics.get(ACCOUNTS)):
            return iter(())
        return judge_accounts(accounts, self.rows, self._roles, self.committed)

    def _judge_ledger(self) -> Iterator[Finding]:
        """I1: the ledger against the log, if the database has one."""
        if self.database.ledger:
            sources = {self.names[role]: self.topics[role] for role in INPUTS}
            committed = {(self.names[role], number): offset for (role, number), offset in self.committed.items()}
            rows, dead_letters, journal = self.database.ledger, self.database.dead_letters, self.names[LEGS]
            legs = self.topics[LEGS]
            for finding in judge_completeness(sources, committed, legs, rows, dead_letters, legs_topic=journal):
                yield finding._replace(invariant="I1")

    def _judge_breaks(self) -> Iterator[Finding]:
        """I2, I3: evidence and breaks. LOST: a result on its topic that is not in the history."""
        by_trade: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        stored = {row["event_id"] for row in self.database.result_history}
        for result in self.results:
            if result.version not in by_trade[result.trade_id]:
                by_trade[result.trade_id][result.version] = json.loads(result.entry.value or b"")
            if result.event_id not in stored:
                text = f"{result.trade_id} version {result.version} is on {result.role}, and not in the history"
                yield Finding(Defect.LOST, *result.entry[:2], text, "I4")
        in_order = {
            trade_id: [results[version] for version in sorted(results)] for trade_id, results in by_trade.items()
        }
        yield from judge_breaks(in_order)
        names = {role: self.names[role] for role in (EXECUTIONS, CONFIRMATIONS)}
        yield from judge_graces(in_order, self.appended_ms, names, self.grace_s)
        newest = {trade_id: results[-1] for trade_id, results in in_order.items()}
        yield from judge_evidence(self.rows, newest, {role: self.names[role] for role in INPUTS})

    def _judge_trades(self) -> Iterator[Finding]:
        """LOST: a trade without a row. WRONG: a row that is not the verdict on all legs, or not the newest version."""
        legs: dict[str, dict[str, list[Row]]] = defaultdict(lambda: {role: [] for role in INPUTS})
        for (role, _, _), leg in self.rows.items():
            if leg is not None:
                legs[leg["trade_id"]][role].append(leg)
        rows = {row["trade_id"]: row for row in self.database.results}
        results_by_event = {row["event_id"]: row["result"] for row in self.database.result_history}
        newest_versions: dict[str, int] = defaultdict(int)
        for result in self.results:
            newest_versions[result.trade_id] = max(result.version, newest_versions[result.trade_id])
        for trade_id in sorted(legs.keys() | rows.keys()):
            trade_legs = legs[trade_id]
            verdict = find(trade_legs[EXECUTIONS], trade_legs[CONFIRMATIONS], trade_legs[PNL], FOUNDING)
            row, version = rows.get(trade_id), newest_versions[trade_id]
            if row is None:
                if verdict.state != "PENDING":
                    text = f"{trade_id} has no row; its newest version on the topics is {version or None}"
                    yield Finding(Defect.LOST, NOWHERE, NOWHERE, text, "I4")
                continue
            checks = {
                check["name"]: check["outcome"] for check in json.loads(results_by_event[row["event_id"]])["checks"]
            }
            actual = (row["state"], json.loads(row["reasons"]), checks)
            if actual != (verdict.state, verdict.reasons, verdict.outcomes):
                yield Finding(Defect.WRONG, NOWHERE, NOWHERE, f"{trade_id} is {actual}, must be {verdict}", "I4")
            if row["version"] != version:
                text = f"{trade_id} has version {row['version']}, the topics have {version}"
                yield Finding(Defect.WRONG, NOWHERE, NOWHERE, text, "I4")

    def _judge_dead_letters(self) -> Iterator[Finding]:
        """LOST: a malformed record without a row. WRONG: a row of a record that is not there, or not malformed."""
        dead_letters = {
            (self._roles.get(row["source_topic"], ""), row["source_partition"], row["source_offset"])
            for row in self.database.dead_letters
        }
        malformed = {origin for origin, row in self.rows.items() if row is None} | self.poison
        for role, partition, offset in sorted(malformed - dead_letters):
            yield Finding(
                Defect.LOST, partition, offset, f"{role} has a malformed record, dead_letters no row of it", "I5"
            )
        for role, partition, offset in sorted(dead_letters - malformed):
            yield Finding(Defect.WRONG, partition, offset, f"a dead letter for a record of {role} that is none", "I5")


def _result(role: str, entry: Entry) -> Result:
    content = json.loads(entry.value or b"")
    return Result(role, entry, content["event_id"], content["trade_id"], content["version"], content["state"])


def _ends(entries: Iterable[Entry]) -> dict[int, int]:
    """The end offset of each partition."""
    ends: dict[int, int] = {}
    for entry in entries:
        ends[entry.partition] = max(ends.get(entry.partition, 0), entry.offset + 1)
    return ends
