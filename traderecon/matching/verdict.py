"""The verdict: what the facts of one trade prove at a watermark.

    facts -> sides -> checks -> state, reasons, hints

Pure: the same facts in any order, at the same watermark, under the same rules, give the same verdict. Time can only
end PENDING: one leg alone, or a pair that lacks a usable snapshot where the rules require one, waits out the grace.
Source: DOMAIN.md, decisions and section 6.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from traderecon.matching.groups import effective_sides
from traderecon.matching.hints import failure_hints, pair_hints, sent_hints, tolerance_covers
from traderecon.matching.in_force import rules_of, with_overrides
from traderecon.matching.sides import Contested, Sides, distinct_values
from traderecon.records import (
    Check,
    Confirmation,
    Execution,
    Fact,
    Hint,
    Kind,
    Leg,
    Outcome,
    Reason,
    Source,
    State,
    Verdict,
)
from traderecon.rules import AttributeRule, Override, Pnl, Price, Rule, Rules

_PENDING = Verdict(State.PENDING)
_GROUP_PENDING = Verdict(State.PENDING, (Reason.GROUP_PENDING,))
_OF_ALL_MEMBERS = frozenset(
    {Reason.PRICE_MISMATCH, Reason.TIMESTAMP_DRIFT, Reason.PNL_INCONSISTENT, Reason.COMMISSION_MISMATCH}
)
_CANCEL = Kind.CANCEL
_PASS, _WITHIN, _FAIL = Outcome.PASS, Outcome.WITHIN_TOLERANCE, Outcome.FAIL


def judge_facts(facts: Sequence[Fact], watermark_ns: int, rules: Rules) -> Verdict:
    """Judge the facts of one trade; ``watermark_ns`` is how far the log has advanced, in broker time."""
    return judge(effective_sides(facts, rules), watermark_ns, rules)


def judge(sides: Sides, watermark_ns: int, rules: Rules) -> Verdict:
    """Judge the effective legs of a trade."""
    if sides.ambiguous:
        return _with_ambiguous(judge(replace(sides, ambiguous=()), watermark_ns, rules), sides)
    execution, confirmation = sides.execution, sides.confirmation
    if execution is not None and confirmation is not None:
        if execution.kind is _CANCEL or confirmation.kind is _CANCEL:
            if sides.reinstated and not _grace_over(sides, watermark_ns, rules):
                return _PENDING
            verdict = _judge_cancelled(sides, rules, both=execution.kind is confirmation.kind)
        else:
            verdict = _judge_pair(execution, confirmation, sides, watermark_ns, rules)
        return _unless_waiting(verdict, sides, watermark_ns, rules) if sides.grouped else verdict
    if (execution or confirmation) is None or not _grace_over(sides, watermark_ns, rules):
        return _PENDING
    return _judge_one_sided(sides, rules)


def _with_ambiguous(verdict: Verdict, sides: Sides) -> Verdict:
    """The verdict on a trade that a record may be about or not: a cancel needs a person, a snapshot is not compared."""
    if verdict.state is State.PENDING:
        return verdict
    hints = tuple(sorted({*verdict.hints, Hint.KEY_AMBIGUOUS}))
    if sides.pnl is None and any(leg.source is Source.PNL for leg in sides.ambiguous):
        verdict = replace(verdict, checks=tuple(map(_with_ambiguous_snapshot, verdict.checks)))
    if verdict.state is State.CANCELLED or not any(_may_cancel(leg, sides) for leg in sides.ambiguous):
        return replace(verdict, hints=hints)
    state = State.UNMATCHED if verdict.state is State.UNMATCHED else State.MISMATCHED
    return replace(verdict, state=state, reasons=tuple(sorted({*verdict.reasons, Reason.KEY_AMBIGUOUS})), hints=hints)


def _with_ambiguous_snapshot(check: Check) -> Check:
    """The check; that of the pnl says why there is no snapshot to compare."""
    if check.name != Pnl.name or check.outcome is not Outcome.NOT_CHECKED:
        return check
    return replace(check, note="the snapshot may be of another trade with this trade_id")


def _may_cancel(leg: Leg, sides: Sides) -> bool:
    """Whether the leg is a cancel whose version is at least that of its side's effective leg."""
    own = sides.execution if leg.source is Source.EXECUTIONS else sides.confirmation
    return leg.kind is _CANCEL and (own is None or own.version <= leg.version)


def _unless_waiting(verdict: Verdict, sides: Sides, watermark_ns: int, rules: Rules) -> Verdict:
    """The verdict on a group; while its sides disagree it waits, since a member may be on its way."""
    if verdict.state is State.MISMATCHED and not _grace_over(sides, watermark_ns, rules):
        return _GROUP_PENDING
    return verdict


def _judge_pair(
    execution: Execution, confirmation: Confirmation, sides: Sides, watermark_ns: int, rules: Rules
) -> Verdict:
    pnl = sides.pnl
    overrides: Mapping[str, Override] = {}
    if rules.overrides:
        rules, overrides = rules_of(rules, execution, confirmation, sides.contested | sides.differing)
    run: tuple[Rule, ...] = rules.checks
    if sides.have_attributes:
        run = (*run, *_sent_attributes(execution, confirmation, sides, rules))
    checks = tuple([rule.check(execution, confirmation, pnl) for rule in run])
    if sides.contested or overrides or sides.grouped:
        checks = with_overrides(_unless_incomplete(run, _unless_contested(run, checks, sides), sides), overrides)
    pnl_missing = rules.pnl_required and not _pnl_compared(checks, sides)
    if pnl_missing and not _grace_over(sides, watermark_ns, rules):
        return _PENDING
    failed: list[Reason] = []
    hints = [*sent_hints(sides), *pair_hints(execution, confirmation, pnl)]
    for check in checks:
        outcome = check.outcome
        if outcome is _PASS:
            continue
        if outcome is _FAIL:
            failed.append(check.reason)
        elif outcome is _WITHIN and check.name == Price.name and tolerance_covers(check):
            hints.append(Hint.TOLERANCE_COVERS_PRICE)
    if _late(sides, rules):
        hints.append(Hint.LATE_CONFIRMATION if sides.second is Source.CONFIRMATIONS else Hint.LATE_EXECUTION)
    if failed:
        hints.extend(failure_hints(failed, sides, rules))
    contested = _contested_operands(sides, rules)
    reasons = [*failed, *_conflict_reasons(contested, sides)]
    if pnl_missing:
        reasons.append(Reason.MISSING_PNL)
    return _verdict(State.MISMATCHED if reasons else State.MATCHED, reasons, checks, hints, contested)


def _sent_attributes(
    execution: Execution, confirmation: Confirmation, sides: Sides, rules: Rules
) -> list[AttributeRule]:
    """The attribute checks of which a side sent the field, be it with several values."""
    return [
        rule
        for rule in rules.attributes
        if getattr(execution, rule.name) is not None
        or getattr(confirmation, rule.name) is not None
        or rule.operands & (sides.contested | sides.differing)
    ]


def _unless_contested(run: Sequence[Rule], checks: Sequence[Check], sides: Sides) -> tuple[Check, ...]:
    """The checks; one that reads a contested field proves nothing, nor one of what the members of a group differ in."""
    return tuple(
        [
            _not_checked(rule, "the legs contradict themselves")
            if _contested_operands_of(rule, sides)
            else _not_checked(rule, "the members have several values, or some of them none")
            if rule.operands & sides.differing
            else check
            for rule, check in zip(run, checks, strict=True)
        ]
    )


def _unless_incomplete(run: Sequence[Rule], checks: tuple[Check, ...], sides: Sides) -> tuple[Check, ...]:
    """The checks; of a group whose quantities differ, those of its other sums and averages prove nothing."""
    if not _is_incomplete(checks, sides):
        return checks
    note = "the quantities differ: a member is missing, or is one too many"
    return tuple(
        [
            _not_checked(rule, note) if rule.reason in _OF_ALL_MEMBERS else check
            for rule, check in zip(run, checks, strict=True)
        ]
    )


def _is_incomplete(checks: Sequence[Check], sides: Sides) -> bool:
    """Whether the legs are a group whose quantities differ."""
    return sides.grouped and any(
        check.reason is Reason.QUANTITY_MISMATCH and check.outcome is _FAIL for check in checks
    )


def _pnl_compared(checks: Sequence[Check], sides: Sides) -> bool:
    """Whether the snapshot was compared; where it cannot be, without a pnl check say, whether there is one."""
    pnl_check = next((check for check in checks if check.name == Pnl.name), None)
    if pnl_check is None or _is_incomplete(checks, sides):
        return sides.pnl is not None
    return pnl_check.outcome is not Outcome.NOT_CHECKED


def _judge_one_sided(sides: Sides, rules: Rules) -> Verdict:
    """One leg, grace over. A cancel needs no partner, but a cancel of an unknown trade is a break."""
    leg = sides.execution or sides.confirmation
    missing = Reason.MISSING_CONFIRMATION if sides.execution else Reason.MISSING_EXECUTION
    if leg is not None and leg.kind is _CANCEL:
        if not sides.cancels_nothing:
            return _judge_cancelled(sides, rules, both=True)
        missing = Reason.CANCEL_UNKNOWN_TRADE
    contested = _contested_operands(sides, rules)
    reasons = [missing, *_conflict_reasons(contested, sides)]
    checks = _unchecked(rules, "the other side is missing")
    return _verdict(State.UNMATCHED, reasons, checks, sent_hints(sides), contested)


def _judge_cancelled(sides: Sides, rules: Rules, *, both: bool) -> Verdict:
    """Nothing to compare. If only one side is cancelled, that is the break."""
    hints = sent_hints(sides)
    checks = _unchecked(rules, "cancelled")
    if both:
        return _verdict(State.CANCELLED, [], checks, hints)
    contested = _contested_operands(sides, rules)
    reasons = [Reason.CANCELLED_ONE_SIDE, *_conflict_reasons(contested, sides)]
    return _verdict(State.MISMATCHED, reasons, checks, hints, contested)


def grace_end_ns(sides: Sides, rules: Rules) -> int:
    """When these legs have waited long enough for what is missing."""
    grace_ns = rules.grace_for(waits_for(sides)) if rules.source_graces else rules.grace_ns
    return sides.waits_from_ns + grace_ns


def waits_for(sides: Sides) -> Source:
    """The source that is missing: a side, the one that is still cancelled, or of a group the smaller; the snapshot."""
    execution, confirmation = sides.execution, sides.confirmation
    if execution is None or confirmation is None:
        return Source.EXECUTIONS if execution is None else Source.CONFIRMATIONS
    if sides.reinstated:
        return Source.EXECUTIONS if execution.kind is _CANCEL else Source.CONFIRMATIONS
    ours, theirs = execution.quantity, confirmation.quantity
    if sides.grouped and ours is not None and theirs is not None and ours != theirs:
        return Source.EXECUTIONS if ours.copy_abs() < theirs.copy_abs() else Source.CONFIRMATIONS
    return Source.CONFIRMATIONS if sides.grouped and sides.pnl is not None else Source.PNL


def _grace_over(sides: Sides, watermark_ns: int, rules: Rules) -> bool:
    return grace_end_ns(sides, rules) <= watermark_ns


def _late(sides: Sides, rules: Rules) -> bool:
    """Whether the second side came after the grace of the first."""
    if not 0 < sides.waits_from_ns < sides.paired_at_ns:
        return False
    grace_ns = rules.grace_for(sides.second) if rules.source_graces and sides.second else rules.grace_ns
    return sides.waits_from_ns + grace_ns <= sides.paired_at_ns


def _contested_operands(sides: Sides, rules: Rules) -> tuple[tuple[Source, str], ...]:
    """The contested fields that some check of these rules reads, sorted."""
    if not sides.contested:
        return ()
    read = {field for rule in rules.every for field in rule.operands}
    if sides.grouped:  # a sum of different contracts proves nothing
        read |= {(source, "contract_multiplier") for source in (Source.EXECUTIONS, Source.CONFIRMATIONS)}
    return tuple(sorted(sides.contested & read))


def _contested_operands_of(rule: Rule, sides: Sides) -> Contested:
    """The contested fields that this check reads from these legs."""
    if isinstance(rule, Pnl) and sides.execution is not None and sides.confirmation is not None:
        pairs = rule.leg_pairs(sides.execution, sides.confirmation)
        contested = [rule.contested_operands(*pair, sides.pnl, sides.contested) for pair in pairs]
        return contested[0].union(*contested[1:])
    return rule.operands & sides.contested


def _unchecked(rules: Rules, note: str) -> tuple[Check, ...]:
    return tuple(_not_checked(rule, note) for rule in rules.checks)


def _not_checked(rule: Rule, note: str) -> Check:
    return Check(rule.name, rule.reason, Outcome.NOT_CHECKED, note=note)


def _conflict_reasons(contested: tuple[tuple[Source, str], ...], sides: Sides) -> list[Reason]:
    """Why legs of one version contradict each other: two brokers confirm the trade, or one side says two things.

    Two brokers are found whether or not a check reads the broker, and explain all that their confirmations contest.
    """
    if not sides.contested:
        return []
    confirmation = sides.confirmation
    stands = confirmation is not None and confirmation.kind is not _CANCEL  # what else a cancel says means nothing
    brokers = distinct_values(sides.effective(Source.CONFIRMATIONS), "broker") if stands else []
    members_differ = sides.grouped and (Source.CONFIRMATIONS, "broker") not in sides.contested
    if len(brokers) < 2 or members_differ:
        return [Reason.DUPLICATE_CONFLICT] if contested else []
    others = any(source is not Source.CONFIRMATIONS for source, _ in contested)
    return [Reason.MULTIPLE_CONFIRMATIONS, *([Reason.DUPLICATE_CONFLICT] if others else [])]


def _verdict(
    state: State,
    reasons: Sequence[Reason],
    checks: tuple[Check, ...],
    hints: Sequence[Hint],
    contested: tuple[tuple[Source, str], ...] = (),
) -> Verdict:
    codes = tuple(sorted(reasons)) if reasons else ()
    return Verdict(state, codes, checks, tuple(sorted(set(hints))) if hints else (), contested)
