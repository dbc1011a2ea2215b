"""More that topics and database must say, whoever wrote them: accounts, evidence, courses, letters, offsets.

    records by role, rows of the inputs, database, commits  ->  Findings I1, I2, I3, I5, I6, I7, I15, I16

Pure, as pipeline_oracle.py, whose histories these judge. Source: CONTRACT.md, Topics, Database; docs/torture.md.
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
AT_ONCE_S = 1.0
"""A record is given its time before anybody can read it, on a slow machine so long before."""
Place = tuple[str, int, int]


def judge_accounts(
    accounts: Iterable[Entry],
    rows: Mapping[Place, Row | None],
    roles: Mapping[str, str],
    committed: Mapping[tuple[str, int], int],
) -> Iterator[Finding]:
    """I1: a committed offset of an input that no account has, or that two give another class, or a wrong one."""
    told: dict[Place, str] = {}
    for entry in accounts:
        account = json.loads(entry.value or b"")
        role, partition, offset = roles.get(account["topic"], account["topic"]), account["partition"], account["first"]
        for became, count in account["runs"]:
            for at in range(offset, offset + count):
                if told.setdefault((role, partition, at), became) != became:
                    text = f"{role} is accounted as {told[role, partition, at]} and as {became}"
                    yield Finding(Defect.WRONG, partition, at, text, "I1")
            offset += count
    for place, row in rows.items():
        role, partition, offset = place
        became, must = told.get(place, ""), "leg" if row else "rejected"
        if became and became != must:
            text = f"{role} has a {must}, accounted as {became}"
            yield Finding(Defect.WRONG, partition, offset, text, "I1")
        elif not became and offset < committed.get((role, partition), 0):
            yield Finding(Defect.LOST, partition, offset, f"{role} is committed, and no account has it", "I1")


def judge_evidence(
    rows: Mapping[Place, Row | None], newest: Mapping[str, dict[str, Any]], names: Mapping[str, str]
) -> Iterator[Finding]:
    """I2: a leg that the newest result of its trade does not have, or evidence that no input has."""
    stated: dict[str, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
    for (role, _, _), row in rows.items():
        if row is not None:
            stated[row["trade_id"]][role].add(meaning(row))
    for trade_id, result in newest.items():
        for role in names:
            shown = set()
            for leg in result["legs"].get(role, ()):
                place = (role, leg["partition"], leg["offset"])
                source = rows.get(place)
                if source is None or source["trade_id"] != trade_id or leg["topic"] != names[role]:
                    text = f"{trade_id} shows a leg from {role}, which has none of it there"
                    yield Finding(Defect.WRONG, *place[1:], text, "I2")
                    continue
                shown.add(meaning(source))
                said = row_of(role, json.dumps(leg["payload"], default=str).encode())
                if said is None or meaning(said) != meaning(source):
                    text = f"{trade_id} shows {leg['payload']} from {role}, which has {source}"
                    yield Finding(Defect.WRONG, *place[1:], text, "I2")
            if missing := len(stated[trade_id][role] - shown):
                text = f"the newest result of {trade_id} lacks {missing} of {len(stated[trade_id][role])} from {role}"
                yield Finding(Defect.LOST, NOWHERE, NOWHERE, text, "I2")


def meaning(row: Row) -> tuple[tuple[str, Any], ...]:
    """What a row says, however it is spelt."""
    said: dict[str, Any] = {"version": Fraction(1), "kind": "new"}
    for name in (*TERMS, *OPTIONAL):
        if name not in row:
            continue
        if name in NUMBERS or name.endswith("_price"):
            said[name] = Fraction(row[name])
        elif name == "timestamp":
            whole, _, fraction = row[name].rstrip("Z").partition(".")
            said[name] = (datetime.fromisoformat(whole), Fraction(f"0.{fraction or 0}"))
        else:
            said[name] = row[name].lower() if name == "kind" else row[name]
    return tuple(sorted(said.items()))


def judge_courses(courses: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Finding]:
    """I3: a move of a break that does not follow from the result before. A trade's results are in version order."""
    for trade_id, results in courses.items():
        for before, now in pairwise((None, *results)):
            assert now is not None
            was, is_break = before is not None and before["state"] in BREAKS, now["state"] in BREAKS
            same = before is not None and all(before[name] == now[name] for name in ("state", "reasons"))
            must = "none" if was == is_break else "resolved" if was else "opened"
            must = "reclassified" if was and is_break and not same else must
            break_ = now["break"]
            said = (break_["transition"], break_["previous_event_id"])
            if said != (must, before["event_id"] if before else None):
                text = f"{trade_id} version {now['version']} says {said} after {before and before['state']}: {must}"
                yield Finding(Defect.WRONG, NOWHERE, NOWHERE, text, "I3")


def judge_graces(
    courses: Mapping[str, Sequence[Mapping[str, Any]]],
    appended_ms: Mapping[Place, int],
    names: Mapping[str, str],
    grace_s: float,
) -> Iterator[Finding]:
    """I16: a trade that is UNMATCHED, though the missing leg was in the log before the grace was over.

    ``names``: executions and confirmations by role; ``appended_ms``: when the broker took a record, where it says so.
    """
    for trade_id, results in courses.items():
        for result in results:
            shown = [leg.get("received_at") for role in names for leg in result["legs"].get(role, ())]
            if result["state"] != "UNMATCHED" or not shown or None in shown or len(result["legs"].keys() & names) > 1:
                continue
            over_s = min(datetime.fromisoformat(received_at).timestamp() for received_at in shown) + grace_s
            missing = next(role for role in names if not result["legs"].get(role))
            for leg in results[-1]["legs"].get(missing, ()):
                place = missing, leg["partition"], leg["offset"]
                early_s = over_s - appended_ms.get(place, inf) / 1000
                if early_s > AT_ONCE_S:
                    text = f"{trade_id} version {result['version']} is UNMATCHED: {missing} had a leg {early_s:.1f} s"
                    yield Finding(Defect.WRONG, *place[1:], f"{text} before the grace was over", "I16")


def judge_letters(
    letters: Iterable[Mapping[str, Any]], sources: Mapping[Place, bytes | None], roles: Mapping[str, str]
) -> Iterator[Finding]:
    """I5: a dead letter whose digest, size or bytes are not those of its source."""
    for row in letters:
        place = (roles.get(row["source_topic"], ""), row["source_partition"], row["source_offset"])
        if place not in sources:
            continue  # of the journal, or of a record that is not there: others say so
        value = sources[place]
        said = (row["sha256"], row["size"])
        must = (None if value is None else hashlib.sha256(value).hexdigest(), len(value or b""))
        if said != must:
            text = f"the dead letter of {place[0]} says {said}, the record is {must}"
            yield Finding(Defect.WRONG, *place[1:], text, "I5")
        elif row["raw"] is not None and not (value or b"").startswith(base64.b64decode(row["raw"])):
            yield Finding(Defect.WRONG, *place[1:], f"the dead letter of {place[0]} has other bytes", "I5")


def judge_checkpoints(
    checkpoints: Iterable[Entry], heads: Mapping[tuple[str, int], Mapping[int, str]]
) -> Iterator[Finding]:
    """I6: a checkpoint whose head is not that of the chain there. ``heads``: by next offset, per chain.

    One that is ahead of the database was read later, or the database has been put back: nothing is said of it.
    """
    for entry in checkpoints:
        said = json.loads(entry.value or b"")
        chain = heads.get((said["topic"], said["partition"]), {})
        if said["next_offset"] > max(chain, default=0):
            continue  # written since the database was read
        before = max(offset for offset in chain if offset <= said["next_offset"])
        if chain[before] != said["head"]:
            text = f"the checkpoint of {said['topic']} {said['partition']} at {said['next_offset']} is not on its chain"
            yield Finding(Defect.CHAIN, entry.partition, entry.offset, text, "I6")


def judge_offsets(
    committed: Mapping[tuple[str, int], int],
    stored: Mapping[tuple[str, int], int],
    ends: Mapping[tuple[str, int], int],
    applied: Mapping[int, int],
    journal: str,
) -> Iterator[Finding]:
    """I7: a commit ahead of what it stands on: the sink's of the database's, the database of the log, matching's of
    the changelog. Roles and partitions; next offsets, and per partition the last journal offset applied.
    """
    for (role, partition), offset in stored.items():
        if offset > ends.get((role, partition), 0):
            text = f"the database has {role} up to {offset}, which ends at {ends.get((role, partition), 0)}"
            yield Finding(Defect.COMMIT, partition, offset, text, "I7")
        if (sent := committed.get((role, partition), 0)) > offset:
            text = f"the sink has committed {role} up to {sent}, the database has it up to {offset}"
            yield Finding(Defect.COMMIT, partition, sent, text, "I7")
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
    """I15: a table behind what its group has committed: a leg of the journal that is no fact of its trade.

    ``rejected``: journal partition and offset of every dead letter; ``committed``: the group's next offsets. The
    changelog is read after both, and is what a table can be made from.
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
        place = entry.partition, entry.offset
        if place not in rejected and (entry.partition, _leg(entry.value or b"")) not in facts:
            text = f"a leg of {entry.key!r} is committed, and no fact of its trade in the table"
            yield Finding(Defect.LOST, *place, text, "I15")


def _leg(value: bytes) -> str:
    return json.dumps(json.loads(value)["leg"], sort_keys=True)


def applied_in(changelog: Iterable[Entry], journal: str) -> dict[int, int]:
    """The last journal offset whose effects the changelog has, per partition."""
    found: dict[int, int] = {}
    for entry in changelog:
        if entry.key == APPLIED + journal.encode() and entry.value is not None:
            found[entry.partition] = max(found.get(entry.partition, -1), int(entry.value))
    return found
