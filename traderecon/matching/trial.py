"""Trial: what other rules would say of a trade that was decided, from the facts in its newest result.

    published result, rules  ->  trial_of  ->  Trial(effect, before, after, assessment)

Every grace is over, as in a batch. Nothing is published or stored. Source: DOMAIN.md F32.
"""

from collections.abc import Sequence

import msgspec

from traderecon.matching.lifecycle import judge_trade
from traderecon.records import Assessment, Fact, Leg, PnlSnapshot, Reason, State
from traderecon.records.instants import FOREVER_NS
from traderecon.records.match_keys import full_id, has_partial_key, key_value
from traderecon.records.result_message import PublishedResult
from traderecon.records.words import Word
from traderecon.rules import Rules
from traderecon.rules.rules import GroupField


class Effect(Word):
    """What other rules would do to a trade."""

    OPENED = "opened"
    """It would become a break."""
    CLOSED = "closed"
    """It would be a break no longer."""
    CHANGED = "changed"
    """It would stay a break, for other reasons."""
    UNCHANGED = "unchanged"
    """Its reasons would stay the same; its severity may not."""
    NOT_JUDGED = "not_judged"
    """It is a late leg of a closed trade: what it was compared with is gone."""
    OTHER_GROUPING = "other_grouping"
    """It would lie under another id: it is no group and the rules have groups, or the match key is another one."""


class Trial(msgspec.Struct, frozen=True):
    """One trade under other rules: its reasons before and after, and what a break would be about."""

    trade_id: str
    effect: Effect
    before: tuple[Reason, ...]
    after: tuple[Reason, ...]
    assessment: Assessment | None = None


def trial_of(published: PublishedResult, rules: Rules) -> Trial:
    """The trade of a published result under these rules."""
    before = published.last.reasons
    if Reason.ORPHAN_LATE in before:
        return Trial(published.trade_id, Effect.NOT_JUDGED, before, before)
    if _is_grouped_otherwise(published.facts, rules) or _has_other_key(published.facts, rules):
        return Trial(published.trade_id, Effect.OTHER_GROUPING, before, before)
    judgement = judge_trade(published.facts, FOREVER_NS, rules)
    after, assessment = judgement.verdict.reasons, judgement.assessment
    effect = _effect(published.last.state, judgement.verdict.state, changed=before != after)
    return Trial(published.trade_id, effect, before, after, assessment)


def _is_grouped_otherwise(facts: Sequence[Fact], rules: Rules) -> bool:
    """Whether these facts would lie under other ids by these rules."""
    if not rules.group_by:
        return any(fact.leg.member_id is not None for fact in facts)
    if any(fact.leg.member_id is None for fact in facts):
        return True
    by_order = all(getattr(fact.leg, "order_id", fact.leg.trade_id) == fact.leg.trade_id for fact in facts)
    return rules.group_by is GroupField.ORDER_ID and not by_order


def _has_other_key(facts: Sequence[Fact], rules: Rules) -> bool:
    """Whether the ids of these facts were made with another match key. A snapshot has no such fields to tell."""
    names = [field.value for field in rules.match_key or ()]
    return any(_is_keyed_otherwise(fact.leg, names) for fact in facts)


def _is_keyed_otherwise(leg: Leg, names: Sequence[str]) -> bool:
    if leg.sent_id is None or not names:
        return (leg.sent_id is not None) != bool(names)
    if isinstance(leg, PnlSnapshot) or has_partial_key(leg):
        return False
    values = {name: getattr(leg, name) for name in names}
    if None in values.values():
        return True
    return leg.trade_id != full_id(leg.sent_id, {name: key_value(name, value) for name, value in values.items()})


def _effect(before: State, after: State, *, changed: bool) -> Effect:
    if before.is_break != after.is_break:
        return Effect.OPENED if after.is_break else Effect.CLOSED
    return Effect.CHANGED if changed else Effect.UNCHANGED
