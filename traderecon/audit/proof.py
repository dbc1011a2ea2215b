"""A proof: the results of one trade, with everything needed to check independently that they are in their chains.

    trade -> {"proof": {"results", "rules", "chains": [{"before", "links", "until"}]}, "sha256"}

Of the rows between a result and the next checkpoint the proof has only digests, so it reveals no other trade. The
links are binding: a reader who has the checkpoint from another source knows that the result existed at its time.
"""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from traderecon.audit.checkpoint_files import CheckpointSet
from traderecon.audit.claims import claim_of
from traderecon.audit.database import beginnings, bytes_of, chain_starts
from traderecon.records.checkpoint import TopicPartition
from traderecon.records.digest import sha256
from traderecon.sink.chain import START, link_digest

FORMAT = 1

_OF_TRADE = (
    'SELECT id, topic, partition, "offset", result FROM result_history '
    "WHERE trade_id = ? AND content_sha256 IS NULL ORDER BY version, id"
)
_BEFORE = "SELECT chain FROM result_history WHERE id < ? AND topic = ? AND partition = ? ORDER BY id DESC LIMIT 1"
_FROM = (
    'SELECT trade_id, "offset", result, chain, content_sha256 FROM result_history '
    "WHERE id >= ? AND topic = ? AND partition = ? ORDER BY id"
)
_OFFSETS = "SELECT next_offset, head FROM sink_offsets WHERE topic = ? AND partition = ?"


class ProofError(Exception):
    """The chain is broken at a result of the trade: where, and what to do."""


def make_proof(  # the trade, and what it is checked against
    connection: sqlite3.Connection, trade_id: str, checkpoints: CheckpointSet, rules: Mapping[str, str], made_at: str
) -> bytes | None:
    """The proof as JSON, in the form read by ``verify_proof.py``; None if the database has no such trade.

    ``rules``: the available texts of rules, by sha256. ProofError: the chain is broken at one of its results.
    """
    rows = connection.execute(_OF_TRADE, (trade_id,)).fetchall()
    if not rows:
        return None
    checkpoints = checkpoints.with_beginnings({tp: offset for tp, (offset, _) in beginnings(connection).items()})
    targets: dict[tuple[TopicPartition, int], dict[str, Any]] = {}
    first: dict[tuple[TopicPartition, int], int] = {}
    for row, topic, partition, offset, _ in rows:
        target = _target(connection, (topic, partition), offset, checkpoints)
        key = ((topic, partition), target["next_offset"])
        targets.setdefault(key, target)
        first[key] = min(first.get(key, row), row)
    results = [json.loads(bytes_of(row[4])) for row in rows]
    claims = [claim_of(result) for result in results]
    if None in claims:
        raise ProofError("an event id does not follow from its result: run `traderecon audit verify`")
    stamps = {result["rules"]["sha256"]: result["rules"]["name"] for result in results}
    proof = {
        "format": FORMAT,
        "trade_id": trade_id,
        "made_at": made_at,
        "rules": [{"name": name, "sha256": stamp, "text": rules.get(stamp)} for stamp, name in sorted(stamps.items())],
        "claims": {
            result["event_id"]: {"text": claim.text.decode(), "facts": [fact.decode() for fact in claim.facts]}
            for result, claim in zip(results, claims, strict=True)
            if claim is not None
        },
        "chains": [
            _segment(connection, trade_id, tp, first[tp, until], targets[tp, until]) for tp, until in sorted(targets)
        ],
    }
    return canonical_json({"proof": proof, "sha256": sha256(canonical_json(proof))}) + b"\n"


def canonical_json(proof: object) -> bytes:
    """The canonical form of a proof: sorted keys, no spaces, UTF-8."""
    return json.dumps(proof, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _target(
    connection: sqlite3.Connection, tp: TopicPartition, offset: int, checkpoints: CheckpointSet
) -> dict[str, Any]:
    """The first checkpoint after an offset; if there is none yet, the head in the database."""
    for checkpoint in checkpoints.chains.get(tp, ()):
        if checkpoint.next_offset > offset:
            return {
                "from": "checkpoint",
                "next_offset": checkpoint.next_offset,
                "head": checkpoint.head,
                "at": checkpoint.at,
            }
    row = connection.execute(_OFFSETS, tp).fetchone()
    if row is None:
        raise ProofError(f"sink_offsets has no row for {tp[0]}[{tp[1]}]: run `traderecon audit verify`")
    return {"from": "database", "next_offset": row[0], "head": row[1], "at": None}


def _segment(  # a part of a chain
    connection: sqlite3.Connection, trade_id: str, tp: TopicPartition, row: int, target: dict[str, Any]
) -> dict[str, Any]:
    previous = connection.execute(_BEFORE, (row, *tp)).fetchone()
    if previous is None:
        start = chain_starts(connection).get(tp)
        previous = None if start is None else (start.head,)
    before = head = START if previous is None else str(previous[0])
    links: list[dict[str, Any]] = []
    for owner, offset, result, chain, purged in connection.execute(_FROM, (row, *tp)):
        if offset >= target["next_offset"]:
            break
        content = bytes_of(result)
        digest = sha256(content) if purged is None else str(purged)
        head = link_digest(head, *tp, offset, digest)
        if head != chain:
            raise ProofError(
                f"{tp[0]}[{tp[1]}] offset {offset} does not follow the row before it: run `traderecon audit verify`"
            )
        content_or_digest = {"result": result} if owner == trade_id and purged is None else {"sha256": digest}
        links.append({"offset": offset, **content_or_digest})
    if head != target["head"]:
        raise ProofError(
            f"{tp[0]}[{tp[1]}] leads to the head {head[:12]} at offset {target['next_offset']}, but the "
            f"{target['from']} has {target['head'][:12]}: run `traderecon audit verify`"
        )
    return {"topic": tp[0], "partition": tp[1], "before": before, "links": links, "until": target}
