"""Groups: the fills of an order, or the allocations of a block, as one pair of legs that add up.

    30 at 190.40, 30 at 190.50, 40 at 190.575  ->  100 at 190.50     the execution of the group

Each member of a group (``member_id``) has versions, amends and cancels of its own. Quantities, commissions and profits
are summed; the price is their average by quantity, exact up to 18 fraction digits, then rounded half to even; the
timestamp is the last one. The sides are compared with each other, however many members each of them has.
Source: DOMAIN.md, decisions (Match keys), F24 to F26.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import msgspec

from traderecon.matching.sides import Contested, Side, Sides, cancels_nothing, distinct_values, side_of, sides_of
from traderecon.records import CONTENT, Fact, Kind, Leg, PnlSnapshot, Source
from traderecon.records.legs import Confirmation, Execution, has_attributes
from traderecon.records.match_keys import is_ambiguous, without_superseded
from traderecon.records.numbers import EXACT, FRACTION_DIGITS, ZERO, canonical
from traderecon.rules import Rules

_SUMMED = frozenset({"quantity", "commission", "pnl_impact"})
_ONE_VALUE = frozenset({"ticker", "side", "currency", "contract_multiplier"})
"""What cannot differ within a group: several values contradict each other. Any other field is then left out."""
_LAST = Decimal(1).scaleb(-FRACTION_DIGITS)
_ROUNDED = Context(prec=EXACT.prec, rounding=ROUND_HALF_EVEN)


def effective_sides(facts: Sequence[Fact], rules: Rules) -> Sides:
    """The effective leg of each source, out of the facts of one trade, or of one group.

    What was a group when it arrived stays one, whatever the rules are now.
    """
    for fact in facts:  # asked of every trade: neither a call nor a truth value of UNSET
        leg = fact.leg
        if leg.sent_id is not None:
            return _namesake_sides(without_superseded(facts), last_wins=rules.last_wins)
        if leg.member_id is not None:
            break
    else:
        if rules.group_by is msgspec.UNSET:
            return sides_of(facts, last_wins=rules.last_wins)
    return group_sides(facts, last_wins=rules.last_wins)


def _namesake_sides(facts: Sequence[Fact], *, last_wins: bool) -> Sides:
    """The effective legs of one of several trades with one trade_id."""
    ambiguous = tuple([fact.leg for fact in facts if is_ambiguous(fact.leg)])
    sides = sides_of([fact for fact in facts if not is_ambiguous(fact.leg)], last_wins=last_wins)
    return msgspec.structs.replace(sides, ambiguous=ambiguous) if ambiguous else sides


def group_sides(facts: Sequence[Fact], *, last_wins: bool = False) -> Sides:
    """The effective leg of each source, out of the facts of one group in any order.

    The group waits from the first leg of its newest member: a further fill gives it a further grace, and an amendment
    does not. So nothing in it is late.
    """
    members = {source: _members(facts, source, last_wins=last_wins) for source in Source}
    members[Source.PNL] = _active_snapshots(members[Source.PNL], members)
    contested: Contested = frozenset().union(*(side.contested for sides in members.values() for side in sides))
    legs: dict[Source, Leg | None] = {}
    differing: Contested = frozenset()
    for source, sides in members.items():
        effective = [side.effective for side in sides if side.effective is not None]
        legs[source], unproven, different = _combined(effective)
        contested, differing = contested | unproven, differing | different
    if _lacks_snapshots(members):
        differing |= {(Source.PNL, "pnl_impact")}
    execution, confirmation, pnl = legs[Source.EXECUTIONS], legs[Source.CONFIRMATIONS], legs[Source.PNL]
    ours, theirs = members[Source.EXECUTIONS], members[Source.CONFIRMATIONS]
    terms = [leg for leg in (execution, confirmation) if leg is not None and not isinstance(leg, PnlSnapshot)]
    times = [leg.timestamp_ns for leg in terms if leg.timestamp_ns is not None]
    return Sides(
        execution if isinstance(execution, Execution) else None,
        confirmation if isinstance(confirmation, Confirmation) else None,
        pnl if isinstance(pnl, PnlSnapshot) else None,
        contested,
        max([side.since_ns for sides in members.values() for side in sides], default=0),
        0,
        len(terms) < 2 and all(cancels_nothing(side.legs) for side in (*ours, *theirs)),
        any(side.gap for sides in members.values() for side in sides),
        tuple(leg for sides in members.values() for leg in _rivals(sides)),
        times[0] if times else None,
        None,
        _is_reinstated(ours, confirmation) or _is_reinstated(theirs, execution),
        bool(contested or differing) or any(map(has_attributes, terms)),
        grouped=True,
        differing=differing,
        amounts=tuple((source, amount) for source, sides in members.items() if (amount := _amount(sides)) is not None),
    )


def _members(facts: Sequence[Fact], source: Source, *, last_wins: bool) -> list[Side]:
    """The members of a group that a source sent, in the order of their ids."""
    by_id: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.leg.source is source:
            by_id.setdefault(fact.leg.member_id or "", []).append(fact)
    return [side_of(by_id[member_id], last_wins=last_wins) for member_id in sorted(by_id)]


def _active_snapshots(snapshots: list[Side], members: Mapping[Source, list[Side]]) -> list[Side]:
    """The snapshots of members that are not cancelled: by their execution, else by their confirmation."""
    kinds = {
        side.effective.member_id: side.effective.kind
        for source in (Source.CONFIRMATIONS, Source.EXECUTIONS)
        for side in members[source]
        if side.effective is not None
    }
    return [it for it in snapshots if it.effective is None or kinds.get(it.effective.member_id) is not Kind.CANCEL]


def _lacks_snapshots(members: Mapping[Source, list[Side]]) -> bool:
    """Whether accounting booked some of our members, and not all: their sum is no profit of the group."""
    legs = {source: [it.effective for it in members[source] if it.effective is not None] for source in members}
    booked = {leg.member_id for leg in legs[Source.PNL]}
    traded = {leg.member_id for leg in legs[Source.EXECUTIONS] if leg.kind is not Kind.CANCEL}
    return not booked.isdisjoint(traded) and booked < traded


def _rivals(sides: Sequence[Side]) -> tuple[Leg, ...]:
    """The legs that the effective leg of a source is made of; none if it is one leg. A cancelled member is no part."""
    active = [it for it in sides if it.effective is not None and it.effective.kind is not Kind.CANCEL] or sides
    if len(active) == 1 and not active[0].rivals:
        return ()
    return tuple(leg for side in active for leg in _legs(side))


def _legs(side: Side) -> tuple[Leg, ...]:
    """The legs that the effective leg of a member is made of."""
    return side.rivals or ((side.effective,) if side.effective is not None else ())


def _is_reinstated(sides: Sequence[Side], other: Leg | None) -> bool:
    """Whether a member was sent again after its cancel, while all of the other side is cancelled."""
    return other is not None and other.kind is Kind.CANCEL and any(side.reinstated for side in sides)


def _combined(legs: Sequence[Leg]) -> tuple[Leg | None, Contested, Contested]:
    """One leg for those of one source, the fields in which they contradict each other, those in which they may differ.

    Cancelled legs are left out.
    """
    active = [leg for leg in legs if leg.kind is not Kind.CANCEL]
    if len(active) < 2:
        return next(iter(active or legs), None), frozenset(), frozenset()
    first = active[0]
    contested: set[tuple[Source, str]] = set()
    differing: set[tuple[Source, str]] = set()
    changes: dict[str, Any] = {
        "member_id": None,
        "version": max(leg.version for leg in active),
        "hints": tuple(sorted({hint for leg in active for hint in leg.hints})),
    }
    for field in CONTENT[first.source]:
        value = _COMBINE.get(field, _one_value)(active, field)
        if value is None and _sent(active, field):
            (contested if field in _ONE_VALUE or field == "price" else differing).add((first.source, field))
        changes[field] = value
    if not isinstance(first, PnlSnapshot):
        changes |= {
            "kind": Kind.NEW,
            "granularity": max(leg.granularity for leg in active if not isinstance(leg, PnlSnapshot)),
        }
    return msgspec.structs.replace(first, **changes), frozenset(contested), frozenset(differing)


def _sent(legs: Iterable[Leg], field: str) -> bool:
    return any(getattr(leg, field) is not None for leg in legs)


def _one_value(legs: Sequence[Leg], field: str) -> Any:
    """The value that every member has that has one; None if they have several."""
    values = distinct_values(legs, field)
    return values[0] if len(values) == 1 else None


def _sum(legs: Sequence[Leg], field: str) -> Decimal | None:
    """The sum over all members; None if one of them lacks it, since an absent amount is not zero."""
    total = ZERO
    for leg in legs:
        amount = getattr(leg, field)
        if amount is None:
            return None
        total = EXACT.add(total, amount)
    return canonical(total)


def _average(legs: Sequence[Leg], field: str) -> Decimal | None:
    """The average by quantity; None if a member lacks price or quantity, or the quantities cancel out."""
    prices = distinct_values(legs, field)
    if len(prices) == 1 and all(getattr(leg, field) is not None for leg in legs):
        return canonical(prices[0])
    value = quantity = ZERO
    for leg in legs:
        price, size = getattr(leg, field), getattr(leg, "quantity", None)
        if price is None or size is None:
            return None
        value, quantity = EXACT.add(value, EXACT.multiply(price, size)), EXACT.add(quantity, size)
    return canonical(_ROUNDED.divide(value, quantity).quantize(_LAST, context=_ROUNDED)) if quantity else None


def _amount(sides: Sequence[Side]) -> Decimal | None:
    """What several members trade for, exact; None for one member, or if one of them lacks price or quantity."""
    active = [it.effective for it in sides if it.effective is not None and it.effective.kind is not Kind.CANCEL]
    total = ZERO
    for leg in active:
        if isinstance(leg, PnlSnapshot) or leg.price is None or leg.quantity is None:
            return None
        total = EXACT.add(total, EXACT.multiply(leg.price, leg.quantity))
    return total if len(active) > 1 else None


def _last(legs: Sequence[Leg], field: str) -> int | None:
    times = [at_ns for leg in legs if (at_ns := getattr(leg, field)) is not None]
    return max(times, default=None)


_COMBINE: dict[str, Callable[[Sequence[Leg], str], Any]] = {
    **dict.fromkeys(_SUMMED, _sum),
    "price": _average,
    "timestamp_ns": _last,
}
