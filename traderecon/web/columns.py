"""The row of ``reconcile --out`` from a result's JSON, as a batch over the same legs writes it.

    result (JSON) -> ResultMessage -> row -> a line of CSV

Pure. Includes hints that depend on arrival times; a batch cannot have those.
"""

import csv
import io
from collections.abc import Iterable, Mapping

import msgspec

from traderecon.present.trade_row import COLUMNS, COUNTS, SENT_TEXT, attributes_text, join_values, spreadsheet_safe
from traderecon.records import Source
from traderecon.records.formats import FORMAT
from traderecon.records.leg_message import LegMessage, ReadPayload
from traderecon.records.legs import ATTRIBUTES, names_in
from traderecon.records.result_head import decode_head
from traderecon.records.result_message import CombinedMessage, ResultMessage, decode_result

_TERMS = ("ticker", "quantity", "price", "timestamp")
_AMOUNTS = ("pnl_impact", "commission")
_CHECKED = ("quantity", "price", "timestamp", "pnl")
_NULL = msgspec.Raw(b"null")
_decode_value = msgspec.json.Decoder(str | None).decode
_NO_COUNTS = ("",) * len(COUNTS)
_GUARDED = tuple(COLUMNS.index(name) for name in SENT_TEXT)


def row(result: str | bytes, severity: str | None = None) -> tuple[str, ...]:
    """One result's JSON in the order of ``COLUMNS``, as ``present.trade_row.row`` has it.

    ``severity``: the one by now, if it is known; a break may have become more urgent with age since the result.

    Of a result that another program wrote, and the sink accepted, only what the sink reads. Source: CONTRACT.md, Web:
    ``/download/csv``.
    """
    try:
        message = decode_result(result)
    except msgspec.MsgspecError:
        head = decode_head(result)
        return (head.trade_id, head.state, ";".join(head.reasons), *[""] * (len(COLUMNS) - 3))
    legs, not_checked = message.legs, ("", "")
    combined = message.combined or {}
    checks = {check.name: (check.outcome, check.difference or "") for check in message.checks}
    return (
        message.trade_id,
        message.state,
        ";".join(message.reasons),
        ";".join(message.hints),
        message.event_time or "",
        *_effective(legs.get(Source.EXECUTIONS, ()), _TERMS, combined.get(Source.EXECUTIONS)),
        *_effective(legs.get(Source.CONFIRMATIONS, ()), _TERMS, combined.get(Source.CONFIRMATIONS)),
        *_effective(legs.get(Source.PNL, ()), _AMOUNTS, combined.get(Source.PNL)),
        checks.get("ticker", not_checked)[0],
        *(cell for name in _CHECKED for cell in checks.get(name, not_checked)),
        ";".join(message.contested or ()),
        *(_NO_COUNTS if message.compared is msgspec.UNSET else map(str, msgspec.structs.astuple(message.compared))),
        _attributes(message, {name: outcome for name, (outcome, _) in checks.items()}),
        severity or message.severity or "",
        *_stake(message),
    )


def _stake(message: ResultMessage[ReadPayload]) -> tuple[str, str]:
    stake = message.at_stake
    return ("", "") if stake is msgspec.UNSET else (stake.amount or "", stake.currency or "")


def _attributes(message: ResultMessage[ReadPayload], outcomes: Mapping[str, str]) -> str:
    known = names_in(Source.EXECUTIONS, FORMAT if message.format is msgspec.UNSET else message.format)
    names = tuple(name for name in ATTRIBUTES if name in known)
    both = (Source.EXECUTIONS, Source.CONFIRMATIONS)
    sides = [[leg for leg in message.legs.get(source, ()) if leg.stands] for source in both]
    if not any(name in leg.payload for side in sides for leg in side for name in names):
        return ""
    combined = message.combined or {}
    values = [_effective(side, names, combined.get(source)) for side, source in zip(sides, both, strict=True)]
    return attributes_text(
        (name, ours, theirs, outcomes.get(name, "")) for name, ours, theirs in zip(names, *values, strict=True)
    )


def lines(results: Iterable[tuple[str | bytes, str | None]]) -> bytes:
    """The rows of these results with their severities by now as lines of CSV, safe for spreadsheets; no header."""
    return csv_lines(row(result, severity) for result, severity in results)


def header() -> bytes:
    """The names of the columns, as the first line of CSV."""
    return csv_lines([COLUMNS], guarded=())


def csv_lines(rows: Iterable[tuple[str, ...]], guarded: tuple[int, ...] = _GUARDED) -> bytes:
    """Rows as UTF-8 lines of CSV; ``guarded``: indexes of columns with a sender's own text, to be made safe."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    for cells in rows:
        safe = list(cells)
        for index in guarded:
            safe[index] = spreadsheet_safe(safe[index])
        write(safe)
    return text.getvalue().encode()


def _text(raw: msgspec.Raw) -> str | None:
    """A value as text; a foreign result may have something else than a text there."""
    try:
        text: str | None = _decode_value(raw)
    except msgspec.MsgspecError:
        return bytes(raw).decode()
    return text


def _effective(
    legs: Iterable[LegMessage[ReadPayload]], names: tuple[str, ...], combined: CombinedMessage | None = None
) -> list[str]:
    """The values of the effective legs in these fields; empty for a field that was not sent."""
    if combined is not None:
        return [
            getattr(combined, name, None) or cell for name, cell in zip(names, _effective(legs, names), strict=True)
        ]
    payloads = [leg.payload for leg in legs if leg.stands]
    if len(payloads) == 1:
        return [_text(payloads[0].get(name, _NULL)) or "" for name in names]
    return [join_values({text for payload in payloads if (text := _text(payload.get(name, _NULL)))}) for name in names]
