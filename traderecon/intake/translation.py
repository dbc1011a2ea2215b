"""Translation: the fields of a record in its source's words -> the same fields in the product's words -> leg.

    {"exec_type": "H", "exec_ref_id": "E1", "trade_id": "E2"}         ->  {"kind": "cancel", "trade_id": "E1"}
    {"currency": "GBX", "price": "19050", "ticker": "BRK/B", ...}     ->  {"currency": "GBP", "price": "190.5", ...}

Text in, text out, and exact: a value that cannot be read is left as it was sent, so that the decoder rejects it. What
was sent in place of a compared value is shown beside the leg (``sent_price``) and never used. Source: docs/sources.md.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from traderecon.intake import values
from traderecon.intake.blanks import trim
from traderecon.intake.date_forms import to_iso
from traderecon.intake.decode_error import DecodeError, quote
from traderecon.intake.legs import Fields, known_fields, leg_of, missing, record_name, unreadable_terms, with_hints
from traderecon.intake.source_settings import KIND, STANDARD_SETTINGS, SideView, SourceSettings
from traderecon.records import Hint, Kind, Leg, PnlSnapshot, RejectCode, Source
from traderecon.records.directions import direction, opposite
from traderecon.records.match_keys import full_id, key_value, partial_id
from traderecon.records.numbers import EXACT, plain

_DATES = ("timestamp", "trade_date", "settlement_date")
_AMOUNTS = ("price", "commission", "pnl_impact", "open_price", "mark_price")
_BUY, _SELL = "BUY", "SELL"

_NOTHING: Mapping[str, str] = {}

_Words = dict[str, str | None]


def read(source: Source, fields: Fields, settings: SourceSettings) -> tuple[Leg, Mapping[str, str]]:
    """The leg of these fields, and what is shown beside it. Raises DecodeError.

    A field that is absent, None or blank was not sent.
    """
    if settings is STANDARD_SETTINGS:
        leg = leg_of(source, fields, settings)
        return leg, unreadable_terms(leg, fields) if leg.kind is Kind.CANCEL else _NOTHING
    words = dict(fields)
    for step in _STEPS:
        step(words, settings)
    hints = {*_minor_units(words, settings), *_ticker(words, settings)}
    leg = leg_of(source, words, settings)
    if leg.kind is not Kind.CANCEL:
        for name in settings.required:
            if not trim(words.get(name) or fields.get(name) or ""):
                raise missing(words, name)
    shown = {**unreadable_terms(leg, words), **_replaced(fields, words, settings)}
    return _refined(_grouped(with_hints(leg, hints), words, settings), words, settings), shown


def shown_fields(source: Source, settings: SourceSettings) -> frozenset[str]:
    """The names of what is shown beside a leg: they are no unknown fields of the sender."""
    own = settings.own_fields
    return own | {f"{prefix}_{name}" for prefix in ("sent", "unread") for name in known_fields(source, settings) - own}


def trade_id_of(fields: Fields, settings: SourceSettings) -> str:
    """The id that ``read`` puts the leg under, without the blanks around it; empty if there is none."""
    if settings.group_field is not None:
        return trim(fields.get(settings.group_field) or "")
    words = dict(fields)
    try:
        _kind(words, settings)
        _reference(words, settings)
    except DecodeError:
        return trim(fields.get("trade_id") or "")
    return trim(words.get("trade_id") or "")


def named_trade(fields: Fields, settings: SourceSettings) -> str | None:
    """The trade that a rejected record names: its group, else its trade_id as sent; None if neither is an id."""
    if not fields:
        return None
    for sent in (trade_id_of(fields, settings), fields.get("trade_id") or ""):
        try:
            return values.key(sent)
        except DecodeError:
            continue
    return None


def _grouped(leg: Leg, words: Fields, settings: SourceSettings) -> Leg:
    """The leg under its group, as a member of it."""
    name = settings.group_field
    if name is None:
        return leg
    sent = words.get(name) or ""
    try:
        group_id = values.key(sent)
    except DecodeError as error:
        raise DecodeError(
            error.code, f"{record_name(words)} has {name} {quote(sent)}, and the rules group by it: {error.text}"
        ) from None
    return msgspec.structs.replace(leg, trade_id=group_id, member_id=leg.trade_id)


def _refined(leg: Leg, words: Fields, settings: SourceSettings) -> Leg:
    """The leg under the id of its trade among those with its trade_id. A cancel or a snapshot may leave that open."""
    if not (names := settings.key_fields):
        return leg
    values_sent = {name: _key_value(leg, words, name) for name in names}
    absent = [name for name, value in values_sent.items() if value is None]
    is_term = not isinstance(leg, PnlSnapshot) and leg.kind is not Kind.CANCEL
    if absent and (is_term or len(absent) < len(names)):
        alternative = "" if is_term else ", or none of them"
        text = f"{record_name(words)} has no {absent[0]}, which is part of the match key: send {' and '.join(names)}"
        raise DecodeError(RejectCode.KEY_MISSING, text + alternative)
    sent_id = leg.trade_id
    trade_id = partial_id(sent_id) if absent else full_id(sent_id, {name: it or "" for name, it in values_sent.items()})
    if len(trade_id) > values.MAX_TEXT:
        text = f"{record_name(words)} and its {' and '.join(names)} are too long for a key: send at most "
        raise DecodeError(RejectCode.KEY_INVALID, f"{text}{values.MAX_TEXT} characters")
    return msgspec.structs.replace(leg, trade_id=trade_id, sent_id=sent_id)


def _key_value(leg: Leg, words: Fields, name: str) -> str | None:
    """The value of a field of the match key, in its standard spelling; None if none was sent, or N/A.

    Raises DecodeError. A cancel may have terms that cannot be read, but not here: it would cancel another trade.
    """
    value: str | None = getattr(leg, name, None)
    if value is None:
        sent = words.get(name) or ""
        if not trim(sent):
            return None
        try:
            value = values.date(sent) if name == "trade_date" else values.text(sent)
        except DecodeError as error:
            raise DecodeError(error.code, f"{record_name(words)} has {name} {quote(sent)}: {error.text}") from None
    return None if values.is_no_id(value) else key_value(name, value)


def _replaced(fields: Fields, words: Fields, settings: SourceSettings) -> dict[str, str]:
    """What was sent in place of a value that is compared; a field of the source's own under its own name."""
    own = settings.own_fields
    return {
        name if name in own else f"sent_{name}": sent
        for name, sent in fields.items()
        if sent is not None and trim(sent) and sent != words.get(name)
    }


def _kind(words: _Words, settings: SourceSettings) -> None:
    """The kind by the source's codes; the words new, amend and cancel are always known."""
    name = settings.kind_field
    if name == KIND and not settings.kinds:
        return
    sent = trim(words.get(name) or "")
    if name != KIND:
        words.pop(name, None)
    if not sent:
        return
    kind = settings.kinds.get(sent)
    if kind is None:
        try:
            kind = values.kind(sent)
        except DecodeError as error:
            known = ", ".join((*settings.kinds, *Kind))
            raise DecodeError(
                error.code, f"{record_name(words)} has {name} {quote(sent)}: this source has the codes {known}"
            ) from None
    other = trim(words.get(KIND) or "") if name != KIND else ""
    if other and other.lower() != kind:
        raise DecodeError(
            RejectCode.SCHEMA_INVALID,
            f"{record_name(words)} has {name} {quote(sent)} and {KIND} {quote(other)}: send one of them",
        )
    words[KIND] = kind.value


def _reference(words: _Words, settings: SourceSettings) -> None:
    """The trade_id of an amend or a cancel: the id of the record that it replaces."""
    if (name := settings.reference_field) is None:
        return
    reference = trim(words.pop(name, None) or "")
    if values.is_no_id(reference):
        reference = ""
    kind = trim(words.get(KIND) or "").lower()
    if kind in {Kind.AMEND, Kind.CANCEL}:
        if not reference:
            raise DecodeError(
                RejectCode.KEY_MISSING,
                f"{record_name(words)} has kind {kind} and no {name}: send the trade_id of the record that it replaces",
            )
        words["trade_id"] = reference
    elif kind in {"", Kind.NEW} and reference not in {"", trim(words.get("trade_id") or "")}:
        raise DecodeError(
            RejectCode.SCHEMA_INVALID,
            f"{record_name(words)} is new and has {name} {quote(reference)}: send its kind, or no {name}",
        )


def _dates(words: _Words, settings: SourceSettings) -> None:
    """Dates and times in the source's forms as ISO 8601."""
    if settings.date_forms:
        for name in _DATES:
            sent = trim(words.get(name) or "")
            if (iso := to_iso(sent, settings.date_forms)) != sent:
                words[name] = iso


def _sign(words: _Words, settings: SourceSettings) -> None:
    """The size of a signed quantity, and its sign as the side where none was sent."""
    quantity = _amount(words, "quantity") if settings.signed else None
    if not quantity:
        return
    side = trim(words.get("side") or "")
    if not side:
        words["side"] = _BUY if quantity > 0 else _SELL
    if quantity > 0:
        return
    if side and direction(side) != _SELL and not _is_cancel(words):
        raise DecodeError(
            RejectCode.SCHEMA_INVALID,
            f"{record_name(words)} has side {quote(side)} and quantity {quote(words['quantity'] or '')}: this source "
            "sells what is below zero",
        )
    words["quantity"] = plain(quantity.copy_negate())


def _side(words: _Words, settings: SourceSettings) -> None:
    """The side from our view. A text that names no direction has no opposite: unchanged, it might agree by chance."""
    side = trim(words.get("side") or "")
    if settings.side is SideView.SAME or not side:
        return
    turned = opposite(side)
    if turned == side and not _is_cancel(words):
        raise DecodeError(
            RejectCode.SCHEMA_INVALID,
            f"{record_name(words)} has side {quote(side)}: this source states its own view, so send a purchase or a "
            "sale",
        )
    words["side"] = turned


def _minor_units(words: _Words, settings: SourceSettings) -> tuple[Hint, ...]:
    """Every amount of a currency's minor unit, in the currency itself. Without a currency the unit is not guessed."""
    sent = trim(words.get("currency") or "")
    unit = settings.minor_units.get(sent)
    if unit is None:
        unknown = settings.minor_units and not sent and any(_amount(words, name) for name in _AMOUNTS)
        return (Hint.CURRENCY_UNKNOWN,) if unknown else ()
    words["currency"] = unit.currency
    for name in _AMOUNTS:
        amount = _amount(words, name)
        if amount is not None:
            words[name] = plain(EXACT.scaleb(amount, -unit.digits))
    return (Hint.NORMALISED,)


def _ticker(words: _Words, settings: SourceSettings) -> tuple[Hint, ...]:
    """The ticker in upper case, and by its standard spelling."""
    sent = words.get("ticker") or ""
    ticker = trim(sent)
    folded = values.fold_case(ticker) if settings.fold_case else ticker
    standard = settings.aliases.get(folded, folded)
    if standard == ticker:  # blanks alone are for the decoder
        return ()
    words["ticker"] = standard
    normalised = (Hint.NORMALISED,) if folded != sent else ()
    return normalised if standard == folded else (*normalised, Hint.ALIAS)


_STEPS: tuple[Callable[[_Words, SourceSettings], None], ...] = (_kind, _reference, _dates, _sign, _side)
"""In this order: a cancel may contradict itself, and a signed quantity gives the side that is mirrored."""


def _is_cancel(words: Fields) -> bool:
    return trim(words.get(KIND) or "").lower() == Kind.CANCEL


def _amount(words: Fields, name: str) -> Decimal | None:
    """An amount that can be read."""
    sent = words.get(name)
    try:
        return values.number(sent) if sent is not None and trim(sent) else None
    except DecodeError:
        return None
