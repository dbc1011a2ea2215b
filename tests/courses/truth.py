"""What the rows that came prove of each trade, by the oracle, when every grace is over.

    rows of text  ->  trade id -> Truth(state, reasons, outcomes, whether a row may be about another trade)

Groups: sums and averages of fractions, over members that each have versions and cancels of their own. Match keys: a row
with a partial key belongs to the one trade with its trade_id, or is ambiguous at each of several. Source:
docs/matching.md, Groups, Match keys.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import oracle

Row = Mapping[str, str]
Rows = Mapping[str, Sequence[Row]]
"""The rows of a trade, by topic."""

EXECUTIONS, CONFIRMATIONS, SNAPSHOTS = "executions", "broker_confirmations", "pnl_snapshot"
SUMMED = ("quantity", "commission", "pnl_impact")
CONFLICTING = ("ticker", "side", "currency")
"""What all members of a side must have alike."""
OF_ALL_MEMBERS = ("price", "timestamp", "pnl", "commission")
"""The checks that prove nothing while a member is missing."""
FRACTION_DIGITS = 18


class Truth(NamedTuple):
    """What is proved of a trade; a state of PENDING: nothing, and no result may be there."""

    state: str
    reasons: tuple[str, ...]
    outcomes: Mapping[str, str]
    ambiguous: bool = False


def by_trade_id(rows: Iterable[tuple[str, Row]]) -> dict[str, Truth]:
    """The truth where each trade_id is a trade."""
    return {trade_id: _pair(known) for trade_id, known in _split(rows, lambda row: row["trade_id"]).items()}


def by_order(rows: Iterable[tuple[str, Row]]) -> dict[str, Truth]:
    """The truth where each order_id is a group."""
    return {order_id: _group(known) for order_id, known in _split(rows, lambda row: row["order_id"]).items()}


def by_broker(rows: Iterable[tuple[str, Row]]) -> dict[str, Truth]:
    """The truth where broker and trade_id together name a trade, and a row may lack the broker."""
    found = {}
    for trade_id, known in _split(rows, lambda row: row["trade_id"]).items():
        every = [(topic, row) for topic, of_topic in known.items() for row in of_topic]
        full = _split([(topic, row) for topic, row in every if "broker" in row], lambda row: row["broker"])
        partial = [(topic, row) for topic, row in every if "broker" not in row]
        claimed = [broker for broker, own in full.items() if own.keys() - {"pnl_snapshot"}]
        for broker, own in full.items():
            name = f"{trade_id}|broker={broker}"
            if broker not in claimed:
                found[name] = _pair(own)
            elif len(claimed) > 1:
                found[name] = _with_ambiguous(_pair(own), own, partial)
            else:
                rows_of_both = [(topic, row) for topic, of_topic in own.items() for row in of_topic] + partial
                (alone,) = _split(rows_of_both, lambda _: "").values()
                found[name] = _pair(alone)
    return found


def _with_ambiguous(truth: Truth, own: Rows, partial: Sequence[tuple[str, Row]]) -> Truth:
    if not partial or truth.state == "PENDING":
        return truth
    if truth.state != "CANCELLED" and any(_may_cancel(row, own.get(topic, ())) for topic, row in partial):
        state = "UNMATCHED" if truth.state == "UNMATCHED" else "MISMATCHED"
        return Truth(state, tuple(sorted([*truth.reasons, "KEY_AMBIGUOUS"])), truth.outcomes, ambiguous=True)
    return truth._replace(ambiguous=True)


def _may_cancel(row: Row, own: Sequence[Row]) -> bool:
    """Whether a row is a cancel that would win over these of its side: none has a higher version."""
    return row.get("kind") == "cancel" and all(oracle.version_of(it) <= oracle.version_of(row) for it in own)


def _split(rows: Iterable[tuple[str, Row]], key: Callable[[Row], str]) -> dict[str, dict[str, list[Row]]]:
    split: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for topic, row in rows:
        split[key(row)][topic].append(row)
    return split


def _pair(rows: Rows) -> Truth:
    executions, confirmations, snapshots = (rows.get(topic, ()) for topic in (EXECUTIONS, CONFIRMATIONS, SNAPSHOTS))
    finding = oracle.find(executions, confirmations, snapshots, oracle.FOUNDING)
    return Truth(finding.state, tuple(finding.reasons), finding.outcomes)


class _Sum(NamedTuple):
    """What the members of a side add up to.

    ``contested``: in which fields they contradict each other; ``unproven``: which have no one value, or no sum.
    """

    side: oracle.Side
    contested: frozenset[str]
    unproven: frozenset[str]
    brokers_of_one: frozenset[str]
    """Several brokers that one member names."""


def _group(rows: Rows) -> Truth:
    fills, allocations = (_members(rows.get(topic, ()), oracle.terms) for topic in (EXECUTIONS, CONFIRMATIONS))
    snapshots = _members(rows.get(SNAPSHOTS, ()), oracle.amounts)
    for member_id in [*snapshots]:
        member = fills.get(member_id) or allocations.get(member_id)
        if member is not None and member.cancelled:
            del snapshots[member_id]
    ours, theirs, booked = map(_sum, (fills, allocations, snapshots))
    sides = {"ours": ours, "theirs": theirs, "booked": booked}
    conflicts = {of for of, side in sides.items() if side is not None and side.contested & oracle.READ[of]}
    reasons = ["DUPLICATE_CONFLICT"] if conflicts else []
    if theirs is not None and theirs.brokers_of_one and not theirs.side.cancelled:
        reasons = ["MULTIPLE_CONFIRMATIONS", *(["DUPLICATE_CONFLICT"] if conflicts - {"theirs"} else [])]
    nothing = dict.fromkeys(oracle.CHECKS, "NOT_CHECKED")
    if ours is not None and theirs is not None:
        if ours.side.cancelled and theirs.side.cancelled:
            return Truth("CANCELLED", (), nothing)
        if ours.side.cancelled or theirs.side.cancelled:
            return Truth("MISMATCHED", tuple(sorted(["CANCELLED_ONE_SIDE", *reasons])), nothing)
        outcomes = _compare(ours, theirs, booked, partly_booked=_partly_booked(fills, snapshots))
        failed = [(oracle.REASONS | oracle.ATTRIBUTES)[name] for name, found in outcomes.items() if found == "FAIL"]
        every = tuple(sorted([*failed, *reasons]))
        return Truth("MISMATCHED" if every else "MATCHED", every, outcomes)
    alone = ours or theirs
    if alone is None:
        return Truth("PENDING", (), {})
    missing = "MISSING_EXECUTION" if ours is None else "MISSING_CONFIRMATION"
    if alone.side.cancelled:
        if not alone.side.cancels_nothing:
            return Truth("CANCELLED", (), nothing)
        missing = "CANCEL_UNKNOWN_TRADE"
    return Truth("UNMATCHED", tuple(sorted([missing, *reasons])), nothing)


def _members(rows: Sequence[Row], read: Callable[[Row], dict[str, oracle.Value]]) -> dict[str, oracle.Side]:
    """What stands of each member of a side."""
    by_id: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_id[row["trade_id"]].append(row)
    sides = {member_id: oracle.stands(map(read, known)) for member_id, known in by_id.items()}
    return {member_id: side for member_id, side in sides.items() if side is not None}


def _sum(members: Mapping[str, oracle.Side]) -> _Sum | None:
    if not members:
        return None
    active = [side for side in members.values() if not side.cancelled]
    if not active:
        nothing = all(side.cancels_nothing for side in members.values())
        first = next(iter(members.values()))
        cancelled = oracle.Side(first.values, cancels_nothing=nothing)
        return _Sum(cancelled, frozenset(), frozenset(), frozenset())
    contested = frozenset[str]().union(*(side.contested for side in active))
    unproven, values = set(contested), dict[str, set[oracle.Value]]()
    for field in active[0].values:
        known = [side.values[field] for side in active]
        every = set[oracle.Value]().union(*known)
        if field in ("kind", "version"):
            values[field] = {None}
            continue
        if field in contested or not every:
            values[field] = every
        elif field in SUMMED:
            values[field] = {sum((oracle.exactly(*it) for it in known), Fraction())} if all(known) else every
            unproven |= set() if all(known) else {field}
        elif field == "price" and len(every) > 1:
            if "quantity" in contested:
                values[field], unproven = every, unproven | {field}
            else:
                values[field] = {_average(active)}
        elif field == "instant":
            values[field] = {max(map(oracle.exactly, every))}
        else:
            values[field] = every
            unproven |= {field} if len(every) > 1 else set()
    contested |= {field for field in CONFLICTING if len(values.get(field, ())) > 1}
    values["kind"] = {"new"}
    brokers = frozenset(
        str(broker) for side in active if "broker" in side.contested for broker in side.values["broker"]
    )
    return _Sum(oracle.Side(values, cancels_nothing=False), contested, frozenset(unproven), brokers)


def _average(members: Sequence[oracle.Side]) -> Fraction:
    """The average price by quantity, with as many digits as a result has; half to even."""
    pairs = [(oracle.exactly(side.row["price"]), oracle.exactly(side.row["quantity"])) for side in members]
    exact = sum((price * quantity for price, quantity in pairs), Fraction()) / sum(quantity for _, quantity in pairs)
    return Fraction(round(exact * 10**FRACTION_DIGITS), 10**FRACTION_DIGITS)


def _partly_booked(fills: Mapping[str, oracle.Side], snapshots: Mapping[str, oracle.Side]) -> bool:
    """Whether some fills have a snapshot and others none."""
    traded = {member_id for member_id, side in fills.items() if not side.cancelled}
    return bool(traded & snapshots.keys()) and bool(traded - snapshots.keys())


def _compare(ours: _Sum, theirs: _Sum, booked: _Sum | None, *, partly_booked: bool) -> dict[str, str]:
    """One outcome per check; what has no one value on a side proves nothing to a check that reads it."""
    unproven = ours.unproven | theirs.unproven
    left, right = _provable(ours), _provable(theirs)
    outcomes = oracle.compare(left, right, None if booked is None else _provable(booked), oracle.FOUNDING)
    names = {"instant": "timestamp"}
    for field in unproven:
        if (name := names.get(field, field)) in outcomes:
            outcomes[name] = "NOT_CHECKED"
    if partly_booked or {"price", "quantity"} & ours.unproven:
        outcomes["pnl"] = "NOT_CHECKED"
    if outcomes["quantity"] == "FAIL":
        outcomes |= {name: "NOT_CHECKED" for name in OF_ALL_MEMBERS if name in outcomes}
    return outcomes


def _provable(side: _Sum) -> oracle.Side:
    """The side; for a number that is not proved any other, since nothing is said of it."""
    numbers: dict[str, set[oracle.Value]] = {
        field: {Fraction(1)} for field in ("price", "quantity", "instant") if field in side.unproven
    }
    return oracle.Side({**side.side.values, **numbers}, cancels_nothing=False)
