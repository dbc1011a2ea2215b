"""How far a trade's two sides agree: how many fields both sent, and how many of those the checks found equal.

    ticker, quantity, price, timestamp, side by both; account by one  ->  agreed 5, differing 0, by both 5, by one 1

Without it MATCHED could mean four fields or twelve. The pnl snapshot is not a side. Source: DOMAIN.md, decisions.
"""

from collections.abc import Sequence

from traderecon.matching.sides import Sides
from traderecon.records import Check, Compared, Confirmation, Execution, Kind, Outcome
from traderecon.records.legs import ATTRIBUTES

TERMS = {"ticker": "ticker", "quantity": "quantity", "price": "price", "timestamp": "timestamp_ns"}
"""The names of their checks, and their fields."""
_MULTIPLIER = "contract_multiplier"
_ALL = {**TERMS, **{name: name for name in (*ATTRIBUTES, _MULTIPLIER)}}
_CANCEL, _FAIL = Kind.CANCEL, Outcome.FAIL
_PASS = Outcome.PASS
_AGREEING = (_PASS, Outcome.WITHIN_TOLERANCE)


def compare_fields(sides: Sides, checks: Sequence[Check]) -> Compared:
    """Count the fields of the effective legs. A field that a side contradicts itself in was sent by it.

    No check reads the contract multiplier of both sides, but two trades that differ in it do not agree in all they say.
    """
    ours, theirs = sides.execution, sides.confirmation
    if not sides.have_attributes:
        if ours and theirs and ours.kind is not _CANCEL and theirs.kind is not _CANCEL:
            return _compare_terms(checks)
        names = TERMS
    else:
        names = _ALL
    sent_by_ours, sent_by_theirs = _sent(ours, names, sides), _sent(theirs, names, sides)
    by_both = sent_by_ours & sent_by_theirs
    outcomes = {check.name: check.outcome for check in checks if check.name in by_both}
    if ours and theirs and ours.contract_multiplier is not None and theirs.contract_multiplier is not None:
        outcomes[_MULTIPLIER] = _PASS if ours.contract_multiplier == theirs.contract_multiplier else _FAIL
    return Compared(
        agreed=sum(outcome in _AGREEING for outcome in outcomes.values()),
        differing=sum(outcome is _FAIL for outcome in outcomes.values()),
        sent_by_both=len(by_both),
        sent_by_one=len(sent_by_ours ^ sent_by_theirs),
    )


def _compare_terms(checks: Sequence[Check]) -> Compared:
    """``compare_fields`` for nearly every pair: both sides sent the terms, and nothing else."""
    agreed = differing = 0
    for check in checks:
        if check.name in TERMS:
            outcome = check.outcome
            differing += outcome is _FAIL
            agreed += outcome in _AGREEING
    return Compared(agreed, differing, len(TERMS), 0)


def _sent(leg: Execution | Confirmation | None, names: dict[str, str], sides: Sides) -> set[str]:
    if leg is None:
        return set()
    contested = {field for source, field in sides.contested | sides.differing if source is leg.source}
    return {name for name, field in names.items() if getattr(leg, field) is not None or field in contested}
