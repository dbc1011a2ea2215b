"""Derive a trade's rows in ``results``, ``breaks`` and ``break_events`` from its result history. Pure.

    HistoryEntry, HistoryEntry, ...   of one trade, by version and row   ->  Projection(result, break_row, events)

The rows depend on the trade's results alone: not on the order in which they were read, nor on what a publisher took for
the previous result. The sink writes these rows; ``audit verify`` derives them again.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from traderecon.records import Transition, break_id
from traderecon.records.business_time import after_business_hours, cut_offs
from traderecon.records.codes import Severity, worst_severity
from traderecon.records.formats import IN_GROUP
from traderecon.records.instants import NS_PER_S, hours_after, iso
from traderecon.records.leg_message import instant
from traderecon.records.members import resolved_by_further_member
from traderecon.records.result_head import ResultHead, decode_head
from traderecon.records.result_message import EscalationMessage
from traderecon.records.results import Resolution
from traderecon.sink.columns import BreakColumns, BreakEventColumns, ResultColumns
from traderecon.sink.decoding import json_list


class UnreadableResult(ValueError):
    """A stored result that cannot be decoded, or whose amounts are not numbers."""


class BreakStatus(StrEnum):
    """Whether a break needs attention."""

    OPEN = "OPEN"
    REOPENED = "REOPENED"
    RESOLVED = "RESOLVED"


class HistoryEntry(NamedTuple):
    """The columns of ``result_history`` that the projection reads, as stored."""

    trade_id: Any
    version: Any
    decided_at: Any
    result: Any


class DatedResult(NamedTuple):
    """A result of a trade, and when it was decided (ISO 8601).

    ``by_further_member``: it resolves a break of a group, and a further record of the group arrived.
    """

    head: ResultHead
    decided_at: str
    by_further_member: bool


class Projection(NamedTuple):
    """The rows; ``break_row`` is None if the trade never broke."""

    result: ResultColumns
    break_row: BreakColumns | None
    events: Sequence[BreakEventColumns]


class _Event(NamedTuple):
    transition: Transition
    current: DatedResult
    previous: DatedResult | None


def project(history: Iterable[HistoryEntry]) -> Projection:
    """The rows of a trade. UnreadableResult, OtherFormat: a result cannot be decoded.

    Of two results with the same version the first counts.
    """
    by_version: dict[int, DatedResult] = {}
    previous: DatedResult | None = None
    for row in history:
        head = _decode(row)
        if head.version not in by_version:
            resolves = previous is not None and previous.head.is_break and not head.is_break
            previous = DatedResult(head, row.decided_at, resolves and _by_further_member(head, row))
            by_version[head.version] = previous
    results = [*by_version.values()]
    events = _events(results)
    newest = result_row(results[-1].head, results[-1].decided_at)
    return Projection(newest, _break_row(events), [_event_row(event) for event in events])


def result_row(head: ResultHead, decided_at: str) -> ResultColumns:
    """The ``results`` row of a trade whose newest result this is. ArithmeticError: an amount is not a number."""
    size, severity = head.size, _severity(head)
    return ResultColumns(
        trade_id=head.trade_id,
        version=head.version,
        state=head.state,
        reasons=json_list(head.reasons),
        hints=json_list(head.hints),
        event_id=head.event_id,
        event_time=size.event_time,
        decided_at=decided_at,
        ticker=size.ticker,
        notional=size.notional,
        currency=size.currency,
        severity=severity and severity.value,
        at_stake=None if head.at_stake is None else head.at_stake.amount,
        agreed=None if head.compared is None else head.compared.agreed,
        sent_by_both=None if head.compared is None else head.compared.sent_by_both,
    )


def _severity(head: ResultHead) -> Severity | None:
    """The severity by the rules; of an earlier version's result by its reasons alone."""
    return head.severity or worst_severity(head.reasons)


def _decode(row: HistoryEntry) -> ResultHead:
    try:
        head = decode_head(row.result)
        _ = head.size
    except (ValueError, ArithmeticError, TypeError, RecursionError) as error:
        raise UnreadableResult(str(error)) from error
    return head


def _by_further_member(head: ResultHead, row: HistoryEntry) -> bool:
    try:
        return head.format >= IN_GROUP and resolved_by_further_member(row.result)
    except msgspec.MsgspecError as error:
        raise UnreadableResult(str(error)) from error


def _events(results: Sequence[DatedResult]) -> list[_Event]:
    """The transitions of the trade's break; the results are in version order."""
    events = []
    previous: DatedResult | None = None
    for current in results:
        before = None if previous is None else (previous.head.state, previous.head.reasons)
        transition = Transition.between(before, (current.head.state, current.head.reasons))
        if transition is not Transition.NONE:
            events.append(_Event(transition, current, previous))
        previous = current
    return events


def _event_row(event: _Event) -> BreakEventColumns:
    head, decided_at, _ = event.current
    previous = None if event.previous is None else event.previous.head.event_id
    return BreakEventColumns(
        break_id=break_id(head.trade_id),
        version=head.version,
        trade_id=head.trade_id,
        transition=event.transition.value,
        state=head.state,
        reasons=json_list(head.reasons),
        event_id=head.event_id,
        previous_event_id=previous,
        at=decided_at,
        resolution=_resolution(event),
    )


def _resolution(event: _Event) -> str | None:
    """How the event resolved the break; None if it did not."""
    if event.transition is not Transition.RESOLVED or event.previous is None:
        return None
    head, _, by_further_member = event.current
    return Resolution.of(event.previous.head.reasons, head.state, by_further_member=by_further_member).value


def _escalates_at(opened_at: str, escalation: EscalationMessage) -> str:
    """When a break becomes more urgent. ValueError: ``opened_at`` is no time, or it has neither hours nor a cut-off."""
    calendar, hours = escalation.calendar or None, escalation.after_hours
    if hours is None:
        cut_off_ns = cut_offs(calendar)(instant(opened_at))
        if cut_off_ns is None:
            raise ValueError("the escalation has neither hours nor a cut-off")
        return iso(cut_off_ns)
    if calendar is None:
        return hours_after(opened_at, hours)
    return iso(after_business_hours(calendar, instant(opened_at) // NS_PER_S, hours) * NS_PER_S)


def _break_row(events: Sequence[_Event]) -> BreakColumns | None:
    """The break after these events, with the reasons of the newest event that has some."""
    status, classified, opened_at = BreakStatus.OPEN, None, ""
    for transition, current, _ in events:
        if transition is Transition.RESOLVED:
            status = BreakStatus.RESOLVED
            continue
        if transition is Transition.OPENED:
            status, opened_at = BreakStatus.REOPENED if opened_at else BreakStatus.OPEN, current.decided_at
        classified = current.head
    if classified is None:
        return None
    newest, changed_at, _ = events[-1].current
    severity, size, escalation = _severity(classified), newest.size, classified.escalation
    try:
        escalates_at = None if escalation is None else _escalates_at(opened_at, escalation)
    except ValueError as error:
        raise UnreadableResult(f"break opened at {opened_at!r}: {error}") from error
    return BreakColumns(
        break_id=break_id(newest.trade_id),
        trade_id=newest.trade_id,
        status=status.value,
        state=newest.state,
        reasons=json_list(classified.reasons),
        severity=severity and severity.value,
        escalates_at=escalates_at,
        resolution=_resolution(events[-1]),
        agreed=None if newest.compared is None else newest.compared.agreed,
        sent_by_both=None if newest.compared is None else newest.compared.sent_by_both,
        escalates_to=None if escalation is None else escalation.severity.value,
        ticker=size.ticker,
        notional=size.notional,
        currency=size.currency,
        at_stake=None if classified.at_stake is None else classified.at_stake.amount,
        event_time=size.event_time,
        opened_at=opened_at,
        changed_at=changed_at,
        resolved_at=changed_at if status is BreakStatus.RESOLVED else None,
        version=newest.version,
        event_id=newest.event_id,
    )
