"""Further invariants of topics and database: accounts, evidence, breaks, dead letters, offsets.

    records by role, rows of the inputs, database, commits  ->  Findings I1, I2, I3, I5, I6, I7, I15, I16

Pure, like pipeline_oracle.py, whose histories are judged here. Source: CONTRACT.md, Topics, Database; docs/torture.md.
"""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from math import inf
from typing import Any

from torture.findings import NOWHERE, Defect, Entry, Finding
from torture.pipeline_input import NUMBERS, Row, row_of

TERMS = ("ticker", "quantity", "price", "timestamp", "version", "kind", "pnl_impact", "commission")
OPTIONAL = ("side", "currency", "account", "broker", "counterparty", "order_id", "open_price", "mark_price")
BREAKS = frozenset({"MISMATCHED", "UNMATCHED"})
APPLIED = b"\x00applied\x00"
TIMESTAMP_MARGIN_S = 1.0
"""A record gets its timestamp before it can be read; on a slow machine, up to this long before."""
Origin = tuple[str, int, int]


def judge_accounts(
    accounts: Iterable[Entry],
    rows: Mapping[Origin, Row | None],
    roles: Mapping[str, str],
    committed: Mapping[tuple[str, int], int],
) -> Iterator[Finding]:
    """I1: a committed input offset without an account, with two different dispositions, or with a wrong one."""
    dispositions: dict[Origin, str] = {}
    for entry in accounts:
        account = json.loads(entry.value or b"")
        role, partition, offset = roles.get(account["topic"], account["topic"]), account["partition"], account["first"]
        for disposition, count in account["runs"]:
            for accounted_offset in range(offset, offset + count):
                if dispositions.setdefault((role, partition, accounted_offset), disposition) != disposition:
                    text = (
                        f"{role} is accounted as {dispositions[role, partition, accounted_offset]} and as {disposition}"
                    )
                    yield Finding(Defect.WRONG, partition, accounted_offset, text, "I1")
            offset += count
    for origin, row in rows.items():
        role, partition, offset = origin
        disposition, expected = dispositions.get(origin, ""), "leg" if row else "rejected"
        if disposition and disposition != expected:
            text = f"{role} has a {expected}, accounted as {disposition}"
            yield Finding(Defect.WRONG, partition, offset, text, "I1")
        elif not disposition and offset < committed.get((role, partition), 0):
            yield Finding(Defect.LOST, partition, offset, f"{role} is committed, and no account has it", "I1")


def judge_evidence(
    rows: Mapping[Origin, Row | None], newest: Mapping[str, dict[str, Any]], names: Mapping[str, str]
) -> Iterator[Finding]:
    """I2: a leg missing from the newest result of its trade, or evidence that is in no input."""
    values_by_trade: dict[str, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
    for (role, _, _), row in rows.items():
        if row is not None:
            values_by_trade[row["trade_id"]][role].add(normalized(row))
    for trade_id, result in newest.items():
        for role in names:
            in_evidence = set()
            for leg in result["legs"].get(role, ()):
                origin = (role, leg["partition"], leg["offset"])
                source = rows.get(origin)
                if source is None or source["trade_id"] != trade_id or leg["topic"] != names[role]:
                    text = f"{trade_id} shows a leg from {role}, which has none of it there"
                    yield Finding(Defect.WRONG, *origin[1:], text, "I2")
                    continue
                in_evidence.add(normalized(source))
                payload = row_of(role, json.dumps(leg["payload"], default=str).encode())
                if payload is None or normalized(payload) != normalized(source):
                    text = f"{trade_id} shows {leg['payload']} from {role}, which has {source}"
                    yield Finding(Defect.WRONG, *origin[1:], text, "I2")
            if missing := len(values_by_trade[trade_id][role] - in_evidence):
                sent = len(values_by_trade[trade_id][role])
                text = f"the newest result of {trade_id} lacks {missing} of {sent} from {role}"
                yield Finding(Defect.LOST, NOWHERE, NOWHERE, text, "I2")


def normalized(row: Row) -> tuple[tuple[str, Any], ...]:
    """The fields of a row, independent of notation."""
    fields: dict[str, Any] = {"version": Fraction(1), "kind": "new"}
    for name in (*TERMS, *OPTIONAL):
        if name not in row:
            continue
        if name in NUMBERS or name.endswith("_price"):
            fields[name] = Fraction(row[name])
        elif name == "timestamp":
            seconds, _, fraction = row[name].rstrip("Z").partition(".")
            fields[name] = (datetime.fromisoformat(seconds), Fraction(f"0.{fraction or 0}"))
        else:
            fields[name] = row[name].lower() if name == "kind" else row[name]
    return tuple(sorted(fields.items()))


def judge_breaks(results_by_trade: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Finding]:
    """I3: a transition that does not follow from the previous result. A trade's results are in version order."""
    for trade_id, results in results_by_trade.items():
        for previous, current in pairwise((None, *results)):
            assert current is not None
            was_break, is_break = previous is not None and previous["state"] in BREAKS, current["state"] in BREAKS
            unchanged = previous is not None and all(previous[name] == current[name] for name in ("state", "reasons"))
            expected = "none" if was_break == is_break else "resolved" if was_break else "opened"
            expected = "reclassified" if was_break and is_break and not unchanged else expected
            break_ = current["break"]
            actual = (break_["transition"], break_["previous_event_id"])
            if actual != (expected, previous["event_id"] if previous else None):
                found = f"{actual} after {previous and previous['state']}"
                text = f"{trade_id} version {current['version']} says {found}: {expected}"
                yield Finding(Defect.WRONG, NOWHERE, NOWHERE, text, "I3")


def judge_graces(
    results_by_trade: Mapping[str, Sequence[Mapping[str, Any]]],
    appended_ms: Mapping[Origin, int],
    names: Mapping[str, str],
    grace_s: float,
) -> Iterator[Finding]:
    """I16: a trade that is UNMATCHED although the missing leg was in the log before the grace expired.

    ``names``: executions and confirmations by role; ``appended_ms``: when the broker appended a record, if known.
    """
    for trade_id, results in results_by_trade.items():
        for result in results:
            receive_times = [leg.get("received_at") for role in names for leg in result["legs"].get(role, ())]
            if (
                result["state"] != "UNMATCHED"
                or not receive_times
                or None in receive_times
                or len(result["legs"].keys() & names) > 1
            ):
                continue
            grace_end_s = (
                min(datetime.fromisoformat(received_at).timestamp() for received_at in receive_times) + grace_s
            )
            missing = next(role for role in names if not result["legs"].get(role))
            for leg in results[-1]["legs"].get(missing, ()):
                origin = missing, leg["partition"], leg["offset"]
                early_s = grace_end_s - appended_ms.get(origin, inf) / 1000
                if early_s > TIMESTAMP_MARGIN_S:
                    text = f"{trade_id} version {result['version']} is UNMATCHED: {missing} had a leg {early_s:.1f} s"
                    yield Finding(Defect.WRONG, *origin[1:], f"{text} before the grace was over", "I16")


def judge_dead_letters(
    dead_letters: Iterable[Mapping[str, Any]], sources: Mapping[Origin, bytes | None], roles: Mapping[str, str]
) -> Iterator[Finding]:
    """I5: a dead letter whose digest, size or bytes differ from its source record."""
    for row in dead_letters:
        origin = (roles.get(row["source_topic"], ""), row["source_partition"], row["source_offset"])
        if origin not in sources:
            continue  # of the journal, or of a missing record: found by other judges
        value = sources[origin]
        actual = (row["sha256"], row["size"])
        expected = (None if value is None else hashlib.sha256(value).hexdigest(), len(value or b""))
        if actual != expected:
            text = f"the dead letter of {origin[0]} says {actual}, the record is {expected}"
            yield Finding(Defect.WRONG, *origin[1:], text, "I5")
        elif row["raw"] is not None and not (value or b"").startswith(base64.b64decode(row["raw"])):
            yield Finding(Defect.WRONG, *origin[1:], f"the dead letter of {origin[0]} has other bytes", "I5")


def judge_checkpoints(
    checkpoints: Iterable[Entry], heads: Mapping[tuple[str, int], Mapping[int, str]]
) -> Iterator[Finding]:
    """I6: a checkpoint whose head is not that of its chain. ``heads``: by next offset, per chain.

    Checkpoints ahead of the database are skipped: they were written later, or the database was restored.
    """
    for entry in checkpoints:
        checkpoint = json.loads(entry.value or b"")
        chain = heads.get((checkpoint["topic"], checkpoint["partition"]), {})
        if checkpoint["next_offset"] > max(chain, default=0):
            continue  # written since the database was read
        link_offset = max(offset for offset in chain if offset <= checkpoint["next_offset"])
        if chain[link_offset] != checkpoint["head"]:
            position = f"{checkpoint['topic']} {checkpoint['partition']} at {checkpoint['next_offset']}"
            text = f"the checkpoint of {position} is not on its chain"
            yield Finding(Defect.CHAIN, entry.partition, entry.offset, text, "I6")


def judge_offsets(
    committed: Mapping[tuple[str, int], int],
    stored: Mapping[tuple[str, int], int],
    ends: Mapping[tuple[str, int], int],
    applied: Mapping[int, int],
    journal: str,
) -> Iterator[Finding]:
    """I7: a commit ahead of its basis: the sink of the database, the database of the log, matching of the changelog.

    Keys are role and partition, values next offsets; ``applied``: the last applied journal offset per partition.
    """
    for (role, partition), offset in stored.items():
        if offset > ends.get((role, partition), 0):
            text = f"the database has {role} up to {offset}, which ends at {ends.get((role, partition), 0)}"
            yield Finding(Defect.COMMIT, partition, offset, text, "I7")
        if (committed_offset := committed.get((role, partition), 0)) > offset:
            text = f"the sink has committed {role} up to {committed_offset}, the database has it up to {offset}"
            yield Finding(Defect.COMMIT, partition, committed_offset, text, "I7")
    for (role, partition), offset in committed.items():
        if role == journal and offset > applied.get(partition, -1) + 1:
            text = (
                f"matching has committed {journal} up to {offset}, the changelog has it up to {applied.get(partition)}"
            )
            yield Finding(Defect.COMMIT, partition, offset, text, "I7")


def judge_tables(
    changelog: Iterable[Entry],
    journal: Iterable[Entry],
    rejected: Container[tuple[int, int]],
    committed: Mapping[int, int],
) -> Iterator[Finding]:
    """I15: a table behind the commit of its group: a committed leg of the journal that is no fact of its trade.

    ``rejected``: journal partition and offset of every dead letter; ``committed``: the group's next offsets. The
    changelog is read after both; a table is recovered from it.
    """
    rows: dict[tuple[int, bytes], bytes] = {}
    for entry in changelog:
        if (entry.key or b"").startswith(b"f"):
            row = entry.partition, entry.key or b""
            if entry.value is None:
                rows.pop(row, None)
            else:
                rows[row] = entry.value
    facts = {(partition, _leg(value.partition(b" ")[2])) for (partition, _), value in rows.items()}
    for entry in journal:
        if entry.key is None or entry.offset >= committed.get(entry.partition, 0):
            continue
        position = entry.partition, entry.offset
        if position not in rejected and (entry.partition, _leg(entry.value or b"")) not in facts:
            text = f"a leg of {entry.key!r} is committed, and no fact of its trade in the table"
            yield Finding(Defect.LOST, *position, text, "I15")


def _leg(value: bytes) -> str:
    return json.dumps(json.loads(value)["leg"], sort_keys=True)


def applied_in(changelog: Iterable[Entry], journal: str) -> dict[int, int]:
    """The last journal offset whose effects the changelog has, per partition."""
    applied: dict[int, int] = {}
    for entry in changelog:
        if entry.key == APPLIED + journal.encode() and entry.value is not None:
            applied[entry.partition] = max(applied.get(entry.partition, -1), int(entry.value))
    return applied
