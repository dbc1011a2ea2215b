"""Tolerance: how far apart two amounts may be and still agree.

limit(ours, theirs) -> the largest allowed difference     bound: whether the limit itself is allowed
"""

from decimal import Decimal

import msgspec

from traderecon.records.numbers import EXACT, ZERO
from traderecon.records.words import Word


class Bound(Word):
    """Whether a difference of exactly the limit is allowed."""

    INCLUSIVE = "inclusive"
    STRICT = "strict"


class Base(Word):
    """The amount of which a relative tolerance is a share."""

    EXECUTION = "execution"
    CONFIRMATION = "confirmation"
    LARGER = "larger"


class _Tolerance(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    bound: Bound = Bound.INCLUSIVE


class Absolute(_Tolerance, frozen=True, tag="absolute"):
    """A fixed amount, in the unit of the operands."""

    amount: Decimal

    def limit(self, ours: Decimal, theirs: Decimal) -> Decimal:
        """The fixed amount."""
        return self.amount


class Relative(_Tolerance, frozen=True, tag="relative"):
    """A share of one of the amounts: ``Decimal("0.02")`` is 2 per cent, ``Decimal("0.0001")`` one basis point."""

    share: Decimal
    base: Base

    def limit(self, ours: Decimal, theirs: Decimal) -> Decimal:
        """The share of the base's size, exact.

        >>> Relative(share=Decimal("0.02"), base=Base.LARGER).limit(Decimal(98), Decimal(-100))
        Decimal('2.00')
        """
        ours, theirs = ours.copy_abs(), theirs.copy_abs()
        if self.base is Base.EXECUTION:
            base = ours
        elif self.base is Base.CONFIRMATION:
            base = theirs
        else:
            base = max(ours, theirs)
        return EXACT.multiply(self.share, base)


class Capped(Relative, frozen=True, tag="capped"):
    """A share of one of the amounts, and never more than a fixed amount."""

    at_most: Decimal

    def limit(self, ours: Decimal, theirs: Decimal) -> Decimal:
        """The smaller of the two.

        >>> cap = Capped(share=Decimal("0.02"), base=Base.EXECUTION, at_most=Decimal("0.05"))
        >>> cap.limit(Decimal(1), Decimal(1)), cap.limit(Decimal(100), Decimal(100))
        (Decimal('0.02'), Decimal('0.05'))
        """
        return min(Relative.limit(self, ours, theirs), self.at_most)


class Band(_Tolerance, frozen=True, tag="band"):
    """Two fixed amounts: how far the confirmation may be below the execution, and how far above."""

    below: Decimal
    above: Decimal

    def limit(self, ours: Decimal, theirs: Decimal) -> Decimal:
        """``above`` or ``below``, depending on the confirmation."""
        return self.above if theirs > ours else self.below


Tolerance = Absolute | Relative | Capped | Band

NOTHING = Absolute(amount=ZERO)
"""No tolerance: equal by value."""
