"""A proof: the results of one trade, with what it takes to check without us that they stand in their chains.

    trade -> {"proof": {"results", "rules", "chains": [{"before", "links", "until"}]}, "sha256"}

Of the rows between a result and the checkpoint behind it only the digests are told, no other trade's content. Each link
is binding: whoever has the checkpoint from elsewhere knows that the result was there when it was made.
"""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from traderecon.audit.checkpoint_files import Known
from traderecon.audit.claims import claim_of
from traderecon.audit.database import beginnings, bytes_of, chain_starts
from traderecon.records.checkpoint import Place
from traderecon.records.digest import sha256
from traderecon.sink.chain import START, linked

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


class Unproven(Exception):
    """The chain does not hold where the trade stands in it: where, and what to do."""


def proof_of(  # the trade, and what is held against it
    connection: sqlite3.Connection, trade_id: str, checkpoints: Known, rules: Mapping[str, str], made_at: str
) -> bytes | None:
    """The proof as JSON, in the form that ``verify_proof.py`` reads; None where the database has no such trade.

    ``rules``: the text of those that are known, by sha256. Unproven: the chain is broken there.
    """
    rows = connection.execute(_OF_TRADE, (trade_id,)).fetchall()
    if not rows:
        return None
    checkpoints = checkpoints.of({place: offset for place, (offset, _) in beginnings(connection).items()})
    targets: dict[tuple[Place, int], dict[str, Any]] = {}
    first: dict[tuple[Place, int], int] = {}
    for row, topic, partition, offset, _ in rows:
        target = _target(connection, (topic, partition), offset, checkpoints)
        key = ((topic, partition), target["next_offset"])
        targets.setdefault(key, target)
        first[key] = min(first.get(key, row), row)
    results = [json.loads(bytes_of(row[4])) for row in rows]
    claims = [claim_of(result) for result in results]
    if None in claims:
        raise Unproven("an event id does not follow from its result: run `traderecon audit verify`")
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
            _segment(connection, trade_id, place, first[place, until], targets[place, until])
            for place, until in sorted(targets)
        ],
    }
    return written({"proof": proof, "sha256": sha256(written(proof))}) + b"\n"


def written(proof: object) -> bytes:
    """The one form a proof has: keys sorted, no spaces, UTF-8."""
    return json.dumps(proof, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _target(connection: sqlite3.Connection, place: Place, offset: int, checkpoints: Known) -> dict[str, Any]:
    """The first checkpoint behind an offset; where there is none yet, the head of the database."""
    for told in checkpoints.chains.get(place, ()):
        if told.next_offset > offset:
            return {"from": "checkpoint", "next_offset": told.next_offset, "head": told.head, "at": told.at}
    found = connection.execute(_OFFSETS, place).fetchone()
    if found is None:
        raise Unproven(f"sink_offsets has no row for {place[0]}[{place[1]}]: run `traderecon audit verify`")
    return {"from": "database", "next_offset": found[0], "head": found[1], "at": None}


def _segment(  # a part of a chain
    connection: sqlite3.Connection, trade_id: str, place: Place, row: int, target: dict[str, Any]
) -> dict[str, Any]:
    found = connection.execute(_BEFORE, (row, *place)).fetchone()
    if found is None:
        start = chain_starts(connection).get(place)
        found = None if start is None else (start.head,)
    before = head = START if found is None else str(found[0])
    links: list[dict[str, Any]] = []
    for owner, offset, result, chain, purged in connection.execute(_FROM, (row, *place)):
        if offset >= target["next_offset"]:
            break  # behind it nothing is of interest, however long the history is
        content = bytes_of(result)
        digest = sha256(content) if purged is None else str(purged)
        head = linked(head, *place, offset, digest)
        if head != chain:
            raise Unproven(f"{place[0]}[{place[1]}] offset {offset} does not follow: run `traderecon audit verify`")
        mine = {"result": result} if owner == trade_id and purged is None else {"sha256": digest}
        links.append({"offset": offset, **mine})
    if head != target["head"]:
        raise Unproven(
            f"{place[0]}[{place[1]}] comes to {head[:12]} at offset {target['next_offset']}, and the {target['from']} "
            f"says {target['head'][:12]}: run `traderecon audit verify`"
        )
    return {"topic": place[0], "partition": place[1], "before": before, "links": links, "until": target}
