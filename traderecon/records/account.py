"""An account: the disposition of every offset in a span of one partition, so that no record is lost unnoticed.

    executions[0] from 100:   [["leg", 120], ["rejected", 1], ["control", 2]]     the next account begins at 223
    PartitionLedger(start, next_offset, counts, gaps).with_account(account) -> PartitionLedger   counts an offset once

A replayed batch may be cut differently: its accounts overlap earlier ones and change nothing. An account that begins
beyond the last one leaves a gap, which is unaccounted for until a later account fills it.
Source: docs/completeness.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

import msgspec

from traderecon.records.formats import FORMAT, require_known_format
from traderecon.records.words import Word

_MAX_OFFSET = 2**62
"""No log gets this far; above it, sums of a database's 64 bits could overflow."""
_MAX_PARTITION = 2**31 - 1


class Disposition(Word):
    """The outcome of one offset."""

    LEG = "leg"
    """A leg: for an input, now in the journal; for the journal, new to its trade."""
    DUPLICATE = "duplicate"
    """Journal only: a leg that its trade already has."""
    REJECTED = "rejected"
    """A dead letter."""
    CONTROL = "control"
    """No leg: a transaction's marker or aborted records, compacted records; in the journal also progress."""
    SKIPPED = "skipped"
    """A record that retention deleted before it was read; a person decided to go on without it."""


Count = Annotated[int, msgspec.Meta(gt=0, le=_MAX_OFFSET)]
Runs = tuple[tuple[Disposition, Count], ...]
"""Run lengths of dispositions; neighbours differ."""
Span = tuple[int, int]
"""Offsets from the first up to, but not including, the second."""


class Account(msgspec.Struct, frozen=True):
    """The dispositions of the offsets of one partition from ``first`` on; a record of the topic ``accounts``."""

    topic: str
    partition: Annotated[int, msgspec.Meta(ge=0, le=_MAX_PARTITION)]
    first: Annotated[int, msgspec.Meta(ge=0, le=_MAX_OFFSET)]
    runs: Runs
    format: Literal[1] = 1

    @property
    def next_offset(self) -> int:
        """The first offset after it."""
        return self.first + sum(count for _, count in self.runs)

    @property
    def key(self) -> bytes:
        """The key of its record: all accounts of one partition are in one order."""
        return f"{self.topic}/{self.partition}".encode()

    def within(self, spans: Iterable[Span]) -> Counter[Disposition]:
        """How many offsets of these spans have each disposition."""
        counts: Counter[Disposition] = Counter()
        for start, stop in spans:
            first = self.first
            for disposition, count in self.runs:
                if first >= stop:
                    break
                if (common := min(stop, first + count) - max(start, first)) > 0:
                    counts[disposition] += common
                first += count
        return counts


class PartitionLedger(msgspec.Struct, frozen=True):
    """The sum of one partition's accounts, from ``start`` to ``next_offset`` without the ``gaps``."""

    start: int
    next_offset: int
    legs: int = 0
    duplicates: int = 0
    rejected: int = 0
    control: int = 0
    skipped: int = 0
    gaps: tuple[Span, ...] = ()

    @classmethod
    def starting_at(cls, account: Account) -> Self:
        """An empty ledger that begins where this account does."""
        return cls(account.first, account.first)

    @property
    def unaccounted(self) -> int:
        """How many offsets between ``start`` and ``next_offset`` have no account; 0 in normal operation."""
        return sum(stop - start for start, stop in self.gaps)

    def with_account(self, account: Account) -> Self:
        """The ledger with an account added; of an offset only the first account counts."""
        first, stop = account.first, account.next_offset
        if first == stop:
            return self
        before, after = (first, min(stop, self.start)), (max(first, self.next_offset), stop)
        filled = [(max(first, gap_start), min(stop, gap_stop)) for gap_start, gap_stop in self.gaps]
        counts = account.within(span for span in (before, *filled, after) if span[0] < span[1])
        return msgspec.structs.replace(
            self,
            start=min(self.start, first),
            next_offset=max(self.next_offset, stop),
            legs=self.legs + counts[Disposition.LEG],
            duplicates=self.duplicates + counts[Disposition.DUPLICATE],
            rejected=self.rejected + counts[Disposition.REJECTED],
            control=self.control + counts[Disposition.CONTROL],
            skipped=self.skipped + counts[Disposition.SKIPPED],
            gaps=tuple(self._remaining_gaps(first, stop)),
        )

    def missing_spans(self, end: int) -> tuple[Span, ...]:
        """The spans without an account between ``start`` and ``end``, an offset that may be beyond ``next_offset``."""
        spans = (*self.gaps, (self.next_offset, end))
        return tuple((start, min(stop, end)) for start, stop in spans if start < min(stop, end))

    def _remaining_gaps(self, first: int, stop: int) -> Iterator[Span]:
        """The gaps that an account from ``first`` to ``stop`` leaves."""
        if stop < self.start:
            yield stop, self.start
        for gap_start, gap_stop in self.gaps:
            if gap_start < min(gap_stop, first):
                yield gap_start, min(gap_stop, first)
            if max(gap_start, stop) < gap_stop:
                yield max(gap_start, stop), gap_stop
        if first > self.next_offset:
            yield self.next_offset, first


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Account).decode


def encode_account(account: Account) -> bytes:
    """A record's value."""
    return _encode(account)


def decode_account(value: bytes) -> Account:
    """The account in a record. OtherFormat: a newer version wrote it; MsgspecError: it is not one."""
    try:
        account = _decode(value)
    except msgspec.MsgspecError:
        require_known_format(value, FORMAT)
        raise
    if account.next_offset > _MAX_OFFSET:
        raise msgspec.ValidationError(f"the account ends at {account.next_offset}, beyond any offset of a log")
    return account


def runs_of(
    first: int,
    stop: int,
    offsets: Sequence[int],
    dispositions: Iterable[tuple[int, Disposition]],
    widths: Mapping[int, int] | None = None,
) -> Runs:
    """The runs from ``first`` up to ``stop``: a LEG at each of ``offsets`` without another disposition, else CONTROL.

    ``dispositions``: of the records that are not LEG, in order. ``widths``: how many offsets an unreadable batch spans,
    by its last offset; they all get its disposition.

    >>> runs = runs_of(5, 12, [5, 6, 8, 9, 10], [(8, Disposition.REJECTED)])
    >>> [f"{count} {disposition}" for disposition, count in runs]
    ['2 leg', '1 control', '1 rejected', '2 leg', '1 control']
    """
    if widths:
        clipped = {offset: min(width, offset - first + 1) for offset, width in widths.items()}
        others = [
            (offset + 1 - clipped.get(offset, 1), clipped.get(offset, 1), disposition)
            for offset, disposition in dispositions
        ]
    else:
        clipped, others = {}, [(offset, 1, disposition) for offset, disposition in dispositions]
    if len(offsets) != stop - first:
        others += [(hole, count, Disposition.CONTROL) for hole, count in _holes(first, stop, offsets, clipped)]
        others.sort()
    runs: list[tuple[Disposition, int]] = []
    next_offset = first
    for offset, count, disposition in others:
        _extend(runs, Disposition.LEG, offset - next_offset)
        _extend(runs, disposition, count)
        next_offset = offset + count
    _extend(runs, Disposition.LEG, stop - next_offset)
    return tuple(runs)


def _extend(runs: list[tuple[Disposition, int]], disposition: Disposition, count: int) -> None:
    if count and runs and runs[-1][0] is disposition:
        runs[-1] = (disposition, runs[-1][1] + count)
    elif count:
        runs.append((disposition, count))


def _holes(first: int, stop: int, offsets: Sequence[int], widths: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """The spans without a record: the first offset of each, and its length."""
    next_offset = first
    for offset in (*offsets, stop):
        start = offset + 1 - widths.get(offset, 1)
        if start > next_offset:
            yield next_offset, start - next_offset
        next_offset = offset + 1
