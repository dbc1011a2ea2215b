"""Walk the chains of one table: recompute every link, row by row, in the order the rows were stored.

    Link, Link, ...  in the order of their ids  ->  Finding, ...          Pure; one row of each chain in memory.

After a row that does not follow, the walk continues both from the stored link and from the recomputed one, so that one
change gives one finding instead of one for each later row.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from traderecon.audit.database import is_text
from traderecon.audit.findings import Finding, Kind
from traderecon.records.checkpoint import Checkpoint, TopicPartition
from traderecon.records.digest import sha256
from traderecon.sink.chain import START, link_digest
from traderecon.sink.purge import ChainStart

NO_STARTS: Mapping[TopicPartition, ChainStart] = {}


class Link(NamedTuple):
    """A row of a chain: its id, coordinates, the content covered by its hash, the hash; the trade of a result.

    Cells are as stored in the database, so they may have any type.
    """

    row: Any
    topic: Any
    partition: Any
    offset: Any
    content: bytes
    chain: Any
    trade_id: Any = None
    digest: str | None = None
    """The sha256 of the content, if the content was purged."""


class Chain:
    """The state of one chain during the walk."""

    def __init__(self, checkpoints: Sequence[Checkpoint], start: ChainStart | None = None) -> None:
        self.rows = 0 if start is None else start.rows
        self.offset = -1 if start is None else start.next_offset - 1
        self.head = START if start is None else start.head
        self.heads = {self.head}
        """What the next row may follow: normally one head, several after a row that does not follow."""
        # Checkpoints from before the start are of purged rows.
        self.checkpoints = [
            checkpoint for checkpoint in checkpoints if start is None or checkpoint.next_offset >= start.next_offset
        ]
        self.compared = 0
        """The number of checkpoints compared so far."""


class Walk:
    """The walk along one table: ``chains`` by topic and partition; ``checkpoints`` are those of its chains."""

    def __init__(
        self,
        table: str,
        checkpoints: Mapping[TopicPartition, Sequence[Checkpoint]],
        starts: Mapping[TopicPartition, ChainStart] = NO_STARTS,
    ) -> None:
        self.table = table
        self.chains: dict[TopicPartition, Chain] = {}
        self.checkpoints = checkpoints
        self.starts = starts
        self._row = max((start.last_row for start in starts.values()), default=0)

    def new_chain(self, tp: TopicPartition) -> Chain:
        """The state of a chain before its first row."""
        return Chain(self.checkpoints.get(tp, ()), self.starts.get(tp))

    def step(self, link: Link) -> Iterator[Finding]:
        """Check the next row."""
        row, topic, partition, offset = link[:4]
        yield from self._check_id(link)
        if not (is_text(topic) and type(partition) is int and type(offset) is int):
            yield self._finding(Kind.CHANGED, link, "its topic, partition or offset has the wrong type")
            return
        tp = (topic, partition)
        chain = self.chains.get(tp)
        if chain is None:
            chain = self.chains[tp] = self.new_chain(tp)
        yield from self.compare_checkpoints(tp, chain, before=offset)
        stored = link.chain if is_text(link.chain) else repr(link.chain)
        if offset <= chain.offset:
            text = f"offset {offset} comes after offset {chain.offset}: it was moved, or inserted"
            yield self._finding(Kind.ORDER, link, text)
        digest = sha256(link.content) if link.digest is None else link.digest
        expected = [link_digest(head, topic, partition, offset, digest) for head in chain.heads]
        if stored in expected:
            chain.heads = {stored}
        else:
            text = (
                "it does not follow the previous row: it was changed, or rows before it were deleted, inserted or moved"
            )
            yield self._finding(Kind.BROKEN, link, text)
            chain.heads = {stored, *expected[:8], *list(chain.heads)[:8]}
        chain.head = stored
        chain.offset = max(chain.offset, offset)
        chain.rows += 1
        self._row = row

    def compare_checkpoints(self, tp: TopicPartition, chain: Chain, *, before: int) -> Iterator[Finding]:
        """Compare the checkpoints up to an offset with the chain as it is now."""
        while chain.compared < len(chain.checkpoints) and chain.checkpoints[chain.compared].next_offset <= before:
            checkpoint = chain.checkpoints[chain.compared]
            chain.compared += 1
            if checkpoint.head not in chain.heads or checkpoint.rows != chain.rows:
                text = (
                    f"the checkpoint of {checkpoint.at} has {checkpoint.rows} rows and head {checkpoint.head[:12]} "
                    f"below offset {checkpoint.next_offset}; the database has {chain.rows} rows, head "
                    f"{chain.head[:12]}: rows were removed or inserted, the chain was rewritten, or the checkpoint was "
                    "changed: compare with another copy of it"
                )
                yield Finding(
                    kind=Kind.CHECKPOINT, table=self.table, topic=tp[0], partition=tp[1], offset=None, text=text
                )

    def _check_id(self, link: Link) -> Iterator[Finding]:
        row = link.row
        if row != self._row + 1:
            gone = f"{self._row + 1}" if row == self._row + 2 else f"{self._row + 1} to {row - 1}"
            text = f"row {gone} before it is missing: deleted, or moved"
            yield self._finding(Kind.MISSING, link, text)
        self._row = row

    def _finding(self, kind: Kind, link: Link, text: str) -> Finding:
        return Finding(
            kind=kind,
            table=self.table,
            row=link.row,
            topic=link.topic,
            partition=link.partition,
            offset=link.offset,
            trade_id=link.trade_id,
            text=text,
        )


def check_ends(walk: Walk, offsets: Mapping[TopicPartition, tuple[Any, Any]]) -> Iterator[Finding]:
    """Check the end of each chain against ``sink_offsets`` (next offset and head), and against later checkpoints."""
    for tp in sorted({*walk.chains, *offsets, *walk.checkpoints, *walk.starts}):
        chain = walk.chains.get(tp) or walk.new_chain(tp)
        where: Any = {"table": "sink_offsets", "topic": tp[0], "partition": tp[1]}
        next_offset, head = offsets.get(tp, (None, None))
        if next_offset is None:
            if chain.rows:
                yield Finding(kind=Kind.MISSING, text=f"no row, but its chain has {chain.rows}", **where)
        elif type(next_offset) is not int or next_offset <= chain.offset:
            text = f"next_offset is {next_offset}, but offset {chain.offset} is stored"
            yield Finding(kind=Kind.HEAD, text=text, **where)
        if next_offset is not None and head not in chain.heads:
            text = (
                f"its head is {str(head)[:12]}, but the chain ends in {chain.head[:12]} at offset {chain.offset}: "
                "rows at its end were deleted or inserted, or the head was changed"
            )
            yield Finding(kind=Kind.HEAD, text=text, **where)
        if chain.rows and not chain.checkpoints:
            text = (
                f"no checkpoint covers its {chain.rows} rows: the checkpoints were removed; or the database is new or "
                "rebuilt, and its worker writes the first ones within seconds: start it, and verify again"
            )
            yield Finding(kind=Kind.CHECKPOINT, table=walk.table, topic=tp[0], partition=tp[1], offset=None, text=text)
        until = next_offset if type(next_offset) is int else 0
        yield from walk.compare_checkpoints(tp, chain, before=until)
        if chain.compared < len(chain.checkpoints):
            last = chain.checkpoints[-1]
            text = (
                f"the checkpoint of {last.at} is at offset {last.next_offset} with {last.rows} rows, but the database "
                f"ends before offset {until} with {chain.rows}: its end was cut off, or it is an older copy that the "
                "sink has not caught up yet"
            )
            yield Finding(kind=Kind.TRUNCATED, table=walk.table, topic=tp[0], partition=tp[1], offset=until, text=text)
