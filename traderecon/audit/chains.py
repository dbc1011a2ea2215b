"""The walk along the chains of one table: every link computed anew, row by row, in the order they were stored.

    Link, Link, ...  in the order of their ids  ->  Finding, ...          Pure; a chain takes the memory of one row.

After a row that does not follow, the walk goes on from what the row says and from what it should say, so that one
change is one finding and not all rows behind it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from traderecon.audit.database import is_text
from traderecon.audit.findings import Finding, Kind
from traderecon.records.checkpoint import Checkpoint, Place
from traderecon.records.digest import sha256
from traderecon.sink.chain import START, linked
from traderecon.sink.purge import ChainStart

NONE: Mapping[Place, ChainStart] = {}


class Link(NamedTuple):
    """A row of a chain: its number, coordinates, the content its hash covers, the hash; whose trade it is, if one's.

    Cells are as they lie in the database, which need not be what they should be.
    """

    row: Any
    topic: Any
    partition: Any
    offset: Any
    content: bytes
    chain: Any
    trade_id: Any = None
    digest: str | None = None
    """The sha256 of the content, where only that is left of it."""


class Chain:
    """One chain as far as it was walked."""

    def __init__(self, checkpoints: Sequence[Checkpoint], start: ChainStart | None = None) -> None:
        self.rows = 0 if start is None else start.rows
        self.offset = -1 if start is None else start.next_offset - 1
        self.head = START if start is None else start.head
        self.heads = {self.head}
        """What the next row may follow: one head, more after a row that does not follow."""
        # What was before the start went with its rows.
        self.checkpoints = [one for one in checkpoints if start is None or one.next_offset >= start.next_offset]
        self.passed = 0
        """So many checkpoints have been compared."""


class Walk:
    """A table on the way: ``chains`` by topic and partition; ``checkpoints`` are those of its chains."""

    def __init__(
        self, table: str, checkpoints: Mapping[Place, Sequence[Checkpoint]], starts: Mapping[Place, ChainStart] = NONE
    ) -> None:
        self.table = table
        self.chains: dict[Place, Chain] = {}
        self.checkpoints = checkpoints
        self.starts = starts
        self._row = max((start.last_row for start in starts.values()), default=0)

    def begun(self, place: Place) -> Chain:
        """A chain of which no row was seen yet."""
        return Chain(self.checkpoints.get(place, ()), self.starts.get(place))

    def step(self, link_: Link) -> Iterator[Finding]:
        """The next row."""
        row, topic, partition, offset = link_[:4]
        yield from self._numbered(link_)
        if not (is_text(topic) and type(partition) is int and type(offset) is int):
            yield self._finding(Kind.CHANGED, link_, "its topic, partition or offset is none")
            return
        place = (topic, partition)
        chain = self.chains.get(place)
        if chain is None:
            chain = self.chains[place] = self.begun(place)
        yield from self.compared(place, chain, before=offset)
        stored = link_.chain if is_text(link_.chain) else repr(link_.chain)
        if offset <= chain.offset:
            text = f"offset {offset} comes behind offset {chain.offset}: it was moved, or inserted"
            yield self._finding(Kind.ORDER, link_, text)
        digest = sha256(link_.content) if link_.digest is None else link_.digest
        expected = [linked(head, topic, partition, offset, digest) for head in chain.heads]
        if stored in expected:
            chain.heads = {stored}
        else:
            text = (
                "it does not follow the row before: it was changed, or rows before it were deleted, inserted or moved"
            )
            yield self._finding(Kind.BROKEN, link_, text)
            chain.heads = {stored, *expected[:8], *list(chain.heads)[:8]}
        chain.head = stored
        chain.offset = max(chain.offset, offset)
        chain.rows += 1
        self._row = row

    def compared(self, place: Place, chain: Chain, *, before: int) -> Iterator[Finding]:
        """Hold the checkpoints up to an offset against the chain as it is now."""
        while chain.passed < len(chain.checkpoints) and chain.checkpoints[chain.passed].next_offset <= before:
            told = chain.checkpoints[chain.passed]
            chain.passed += 1
            if told.head not in chain.heads or told.rows != chain.rows:
                text = (
                    f"the checkpoint of {told.at} says {told.rows} rows and head {told.head[:12]} below offset "
                    f"{told.next_offset}; here are {chain.rows}, head {chain.head[:12]}: rows were removed or put in, "
                    "the chain was written anew, or the checkpoint was changed: compare with another copy of it"
                )
                yield Finding(
                    kind=Kind.CHECKPOINT, table=self.table, topic=place[0], partition=place[1], offset=None, text=text
                )

    def _numbered(self, link_: Link) -> Iterator[Finding]:
        row = link_.row
        if row != self._row + 1:
            gone = f"{self._row + 1}" if row == self._row + 2 else f"{self._row + 1} to {row - 1}"
            text = f"row {gone} before it missing: deleted, or moved"
            yield self._finding(Kind.MISSING, link_, text)
        self._row = row

    def _finding(self, kind: Kind, link_: Link, text: str) -> Finding:
        return Finding(
            kind=kind,
            table=self.table,
            row=link_.row,
            topic=link_.topic,
            partition=link_.partition,
            offset=link_.offset,
            trade_id=link_.trade_id,
            text=text,
        )


def ended(walk: Walk, offsets: Mapping[Place, tuple[Any, Any]]) -> Iterator[Finding]:
    """The end of a walk: each chain against ``sink_offsets`` (next offset and head), and against later checkpoints."""
    for place in sorted({*walk.chains, *offsets, *walk.checkpoints, *walk.starts}):
        chain = walk.chains.get(place) or walk.begun(place)
        where: Any = {"table": "sink_offsets", "topic": place[0], "partition": place[1]}
        next_offset, head = offsets.get(place, (None, None))
        if next_offset is None:
            if chain.rows:
                yield Finding(kind=Kind.MISSING, text=f"no row, and its chain has {chain.rows}", **where)
        elif type(next_offset) is not int or next_offset <= chain.offset:
            yield Finding(
                kind=Kind.HEAD, text=f"next_offset is {next_offset}, and offset {chain.offset} is here", **where
            )
        if next_offset is not None and head not in chain.heads:
            text = (
                f"its head is {str(head)[:12]}, the chain ends in {chain.head[:12]} with offset {chain.offset}: "
                "rows at its end were deleted or inserted, or the head was moved"
            )
            yield Finding(kind=Kind.HEAD, text=text, **where)
        if chain.rows and not chain.checkpoints:
            text = (
                f"no checkpoint speaks of its {chain.rows} rows: they were removed; or the database is new, or made "
                "anew, and its worker writes the first within seconds: start it, and verify again"
            )
            yield Finding(
                kind=Kind.CHECKPOINT, table=walk.table, topic=place[0], partition=place[1], offset=None, text=text
            )
        until = next_offset if type(next_offset) is int else 0
        yield from walk.compared(place, chain, before=until)
        if chain.passed < len(chain.checkpoints):
            told = chain.checkpoints[-1]
            text = (
                f"the checkpoint of {told.at} has it at offset {told.next_offset} with {told.rows} rows; the database "
                f"ends before offset {until} with {chain.rows}: its end was cut off, or it is an older copy that the "
                "sink has not brought up yet"
            )
            yield Finding(
                kind=Kind.TRUNCATED, table=walk.table, topic=place[0], partition=place[1], offset=until, text=text
            )
