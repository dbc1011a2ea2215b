"""An account: what became of every offset of a partition, from one to another, so that none is left out unnoticed.

    executions[0] from 100:   [["leg", 120], ["rejected", 1], ["control", 2]]     the next account begins at 223
    Book(start, next_offset, counts, gaps).entered(account) -> Book               each offset once, whoever tells it

A batch that comes again may be cut otherwise: its accounts overlap those that were told, and change nothing. One that
begins beyond the last leaves a gap, which is unaccounted for until a later account fills it.
Source: docs/completeness.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

import msgspec

from traderecon.records.words import Word

_MOST = 2**63 - 1


class Disposition(Word):
    """What one offset came to."""

    LEG = "leg"
    """A leg: of an input one that stands in the journal, of the journal one that its trade did not have."""
    DUPLICATE = "duplicate"
    """Of the journal only: a leg that its trade has."""
    REJECTED = "rejected"
    """A dead letter."""
    CONTROL = "control"
    """No record for us: a transaction's marker, what it took back, what was compacted away; of the journal progress."""
    SKIPPED = "skipped"
    """A record that retention took before it was read: a person decided to go on without it."""


Count = Annotated[int, msgspec.Meta(gt=0, le=_MOST)]
Runs = tuple[tuple[Disposition, Count], ...]
"""What came next, and how often; neighbours differ."""
Span = tuple[int, int]
"""Offsets from the first up to, not with, the second."""


class Account(msgspec.Struct, frozen=True):
    """What became of the offsets of one partition from ``first`` on, as it lies on the topic ``accounts``."""

    topic: str
    partition: Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
    first: Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
    runs: Runs
    format: Literal[1] = 1

    @property
    def next_offset(self) -> int:
        """The first offset it says nothing of."""
        return self.first + sum(count for _, count in self.runs)

    @property
    def key(self) -> bytes:
        """What its record is sent under: all accounts of one partition are in one order."""
        return f"{self.topic}/{self.partition}".encode()

    def within(self, spans: Iterable[Span]) -> Counter[Disposition]:
        """How many offsets of these spans became what."""
        counts: Counter[Disposition] = Counter()
        for begun, ended in spans:
            first = self.first
            for became, count in self.runs:
                if first >= ended:
                    break
                if (common := min(ended, first + count) - max(begun, first)) > 0:
                    counts[became] += common
                first += count
        return counts


class Book(msgspec.Struct, frozen=True):
    """All that was told of one partition: from ``start`` to ``next_offset``, the ``gaps`` in between apart."""

    start: int
    next_offset: int
    legs: int = 0
    duplicates: int = 0
    rejected: int = 0
    control: int = 0
    skipped: int = 0
    gaps: tuple[Span, ...] = ()

    @classmethod
    def opened(cls, account: Account) -> Self:
        """An empty book, which begins where this account does."""
        return cls(account.first, account.first)

    @property
    def unaccounted(self) -> int:
        """How many offsets nobody has told of, between those that were told of. In health 0."""
        return sum(ended - begun for begun, ended in self.gaps)

    def entered(self, account: Account) -> Self:
        """The book with what is new in an account; the first account of an offset stays."""
        first, last = account.first, account.next_offset
        if first == last:
            return self
        before, behind = (first, min(last, self.start)), (max(first, self.next_offset), last)
        filled = [(max(first, begun), min(last, ended)) for begun, ended in self.gaps]
        counts = account.within(span for span in (before, *filled, behind) if span[0] < span[1])
        return msgspec.structs.replace(
            self,
            start=min(self.start, first),
            next_offset=max(self.next_offset, last),
            legs=self.legs + counts[Disposition.LEG],
            duplicates=self.duplicates + counts[Disposition.DUPLICATE],
            rejected=self.rejected + counts[Disposition.REJECTED],
            control=self.control + counts[Disposition.CONTROL],
            skipped=self.skipped + counts[Disposition.SKIPPED],
            gaps=tuple(self._left(first, last)),
        )

    def untold(self, ended: int) -> tuple[Span, ...]:
        """What nobody has told of between ``start`` and an offset, whether an account came after it or not."""
        spans = (*self.gaps, (self.next_offset, ended))
        return tuple((begun, min(end, ended)) for begun, end in spans if begun < min(end, ended))

    def _left(self, first: int, last: int) -> Iterator[Span]:
        """The gaps around an account of these offsets."""
        if last < self.start:
            yield last, self.start
        for begun, ended in self.gaps:
            if begun < min(ended, first):
                yield begun, min(ended, first)
            if max(begun, last) < ended:
                yield max(begun, last), ended
        if first > self.next_offset:
            yield self.next_offset, first


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Account).decode


def encode_account(account: Account) -> bytes:
    """A record's value."""
    return _encode(account)


def decode_account(value: bytes) -> Account:
    """The account a record carries; msgspec.MsgspecError where it is none, or of a format we do not know."""
    account = _decode(value)
    if account.next_offset > _MOST:
        raise msgspec.ValidationError(f"it ends at {account.next_offset}, where no offset is")
    return account


def runs_of(  # where, and what lies there
    first: int,
    ended: int,
    offsets: Sequence[int],
    others: Iterable[tuple[int, Disposition]],
    widths: Mapping[int, int] | None = None,
) -> Runs:
    """The offsets from ``first`` up to ``ended``: a record at each of ``offsets``, the rest is CONTROL.

    ``others`` are the records that are no LEG, in order. ``widths``: at these of them end so many offsets of a batch
    that was not read, which all become the same.

    >>> [f"{count} {became}" for became, count in runs_of(5, 12, [5, 6, 8, 9, 10], [(8, Disposition.REJECTED)])]
    ['2 leg', '1 control', '1 rejected', '2 leg', '1 control']
    """
    if widths:
        wide = {offset: min(width, offset - first + 1) for offset, width in widths.items()}
        exceptions = [(offset + 1 - wide.get(offset, 1), wide.get(offset, 1), became) for offset, became in others]
    else:
        wide, exceptions = {}, [(offset, 1, became) for offset, became in others]
    if len(offsets) != ended - first:
        exceptions += [(hole, count, Disposition.CONTROL) for hole, count in _holes(first, ended, offsets, wide)]
        exceptions.sort()
    runs: list[tuple[Disposition, int]] = []
    at = first
    for offset, count, became in exceptions:
        _extend(runs, Disposition.LEG, offset - at)
        _extend(runs, became, count)
        at = offset + count
    _extend(runs, Disposition.LEG, ended - at)
    return tuple(runs)


def _extend(runs: list[tuple[Disposition, int]], became: Disposition, count: int) -> None:
    if count and runs and runs[-1][0] is became:
        runs[-1] = (became, runs[-1][1] + count)
    elif count:
        runs.append((became, count))


def _holes(first: int, ended: int, offsets: Sequence[int], wide: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    at = first
    for offset in (*offsets, ended):
        begun = offset + 1 - wide.get(offset, 1)
        if begun > at:
            yield at, begun - at
        at = offset + 1
