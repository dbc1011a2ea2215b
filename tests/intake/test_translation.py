"""What a source's settings do to its records: the same in a message and in a row. Source: docs/sources.md."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.intake import (
    STANDARD_SETTINGS,
    DateForm,
    EpochUnit,
    Form,
    HeaderError,
    Rows,
    SideView,
    SourceSettings,
    decode,
    reads_plainly,
)
from traderecon.intake.date_forms import to_iso
from traderecon.intake.instants import instant
from traderecon.intake.keys import with_other_key
from traderecon.intake.translation import shown_fields
from traderecon.records import Confirmation, Execution, Fact, Hint, Kind, Leg, Origin, PnlSnapshot, Rejected, Source
from traderecon.records.currencies import MINOR_UNITS, MinorUnit
from traderecon.records.directions import direction, opposite
from traderecon.records.formats import IN_GROUP, WITH_MATCH_KEY
from traderecon.records.journal import decode_fact, encode_journal
from traderecon.records.leg_message import LegMessage, ReadPayload, to_fact, to_message
from traderecon.records.legs import leg_format
from traderecon.records.match_keys import as_ambiguous, has_partial_key

ORIGIN = Origin("broker_confirmations", 2, 17, 1_753_524_083_500_000_000)
TERMS = {
    "trade_id": "T1",
    "ticker": "AAPL",
    "quantity": "100",
    "price": "190.50",
    "timestamp": "2025-07-26T10:01:23.000Z",
}
FIX_KINDS = {"F": Kind.NEW, "G": Kind.AMEND, "H": Kind.CANCEL}
FIX = SourceSettings(kind_field="exec_type", kinds=FIX_KINDS, reference_field="exec_ref_id")
PENCE = SourceSettings(minor_units=MINOR_UNITS)
SNAPSHOT = {"trade_id": "T1", "pnl_impact": "1904950", "commission": "50"}


def both(
    settings: SourceSettings, fields: dict[str, str], source: Source = Source.CONFIRMATIONS
) -> list[Fact | Rejected]:
    """The record as a message and as a row under a header with every column."""
    header = dict.fromkeys((*settings.columns(source), *fields))
    rows = Rows(source, ",".join(header), settings)
    line = ",".join(fields.get(name, "") for name in header)
    return [decode(source, json.dumps(fields).encode(), ORIGIN, settings), rows.decode(line, ORIGIN)]


def fact_of(settings: SourceSettings, *, source: Source = Source.CONFIRMATIONS, **fields: str | None) -> Fact:
    """The fact of a record with the base terms and these; None leaves one out. Message and row agree."""
    base = SNAPSHOT if source is Source.PNL else TERMS
    message, row = both(settings, {name: sent for name, sent in {**base, **fields}.items() if sent is not None}, source)
    assert isinstance(message, Fact), message
    assert isinstance(row, Fact), row
    assert message.leg == row.leg
    return message


def leg_of(settings: SourceSettings, **fields: str | None) -> Confirmation:
    leg = fact_of(settings, source=Source.CONFIRMATIONS, **fields).leg
    assert isinstance(leg, Confirmation)
    return leg


def rejection(settings: SourceSettings, **fields: str | None) -> tuple[str, str]:
    """The code and the text of the message; the row has the same code."""
    message, row = both(settings, {name: sent for name, sent in {**TERMS, **fields}.items() if sent is not None})
    assert isinstance(message, Rejected), message
    assert isinstance(row, Rejected), row
    assert message.code is row.code
    return message.code, message.text


class TestKinds:
    @pytest.mark.parametrize(
        ("sent", "kind"),
        [("H", Kind.CANCEL), (" H ", Kind.CANCEL), ("G", Kind.AMEND), ("F", Kind.NEW), ("", Kind.NEW)],
    )
    def test_codes_of_a_source(self, sent: str, kind: Kind) -> None:
        settings = SourceSettings(kind_field="exec_type", kinds=FIX_KINDS)
        assert leg_of(settings, exec_type=sent).kind is kind

    def test_the_words_are_always_known_and_kind_is_the_field_by_default(self) -> None:
        settings = SourceSettings(kinds={"BUST": Kind.CANCEL})
        assert leg_of(settings, kind="BUST", version="3").kind is Kind.CANCEL
        assert leg_of(settings, kind="Amend").kind is Kind.AMEND
        assert fact_of(settings, kind="BUST").extra == {"sent_kind": "BUST"}

    def test_the_field_is_shown_as_it_was_sent(self) -> None:
        assert fact_of(SourceSettings(kind_field="exec_type", kinds=FIX_KINDS), exec_type="G").extra == {
            "exec_type": "G"
        }

    def test_an_unknown_code_is_rejected_with_the_known_ones(self) -> None:
        assert rejection(SourceSettings(kind_field="exec_type", kinds=FIX_KINDS), exec_type="0") == (
            "EVENT_TYPE_UNSUPPORTED",
            "T1 has exec_type '0': this source has the codes F, G, H, new, amend, cancel",
        )

    def test_case_matters_in_a_code(self) -> None:
        code, _ = rejection(SourceSettings(kind_field="exec_type", kinds=FIX_KINDS), exec_type="h")
        assert code == "EVENT_TYPE_UNSUPPORTED"

    def test_two_fields_may_not_contradict_each_other(self) -> None:
        settings = SourceSettings(kind_field="exec_type", kinds=FIX_KINDS)
        assert leg_of(settings, exec_type="H", kind="CANCEL").kind is Kind.CANCEL
        assert leg_of(settings, kind="cancel").kind is Kind.CANCEL
        assert rejection(settings, exec_type="H", kind="new") == (
            "SCHEMA_INVALID",
            "T1 has exec_type 'H' and kind 'new': send one of them",
        )

    def test_a_misspelt_field_of_its_own_is_asked_about(self) -> None:
        value = json.dumps({**TERMS, "ExecType": "H"}).encode()
        rejected = decode(Source.CONFIRMATIONS, value, ORIGIN, SourceSettings(kind_field="exec_type", kinds=FIX_KINDS))
        assert isinstance(rejected, Rejected)
        assert "did you mean exec_type?" in rejected.text

    def test_a_file_without_the_column_is_refused(self) -> None:
        with pytest.raises(HeaderError, match="lacks the columns exec_ref_id, exec_type"):
            Rows(Source.EXECUTIONS, ",".join(TERMS), FIX)


class TestReferences:
    def test_a_cancel_is_of_the_trade_that_it_names(self) -> None:
        fact = fact_of(FIX, trade_id="E2", exec_type="H", exec_ref_id=" E1 ")
        assert (fact.leg.trade_id, fact.leg.kind, fact.leg.hints) == ("E1", Kind.CANCEL, ())
        assert fact.extra == {"sent_trade_id": "E2", "exec_type": "H", "exec_ref_id": " E1 "}

    def test_it_needs_no_id_of_its_own(self) -> None:
        assert leg_of(FIX, trade_id=None, exec_type="G", exec_ref_id="E1").trade_id == "E1"

    def test_a_new_record_has_its_own_id(self) -> None:
        for reference in ("", "E1", "n/a"):
            assert leg_of(FIX, trade_id="E1", exec_type="F", exec_ref_id=reference).trade_id == "E1"

    def test_a_new_record_that_names_another_is_rejected(self) -> None:
        assert rejection(FIX, trade_id="E2", exec_ref_id="E1") == (
            "SCHEMA_INVALID",
            "E2 is new and has exec_ref_id 'E1': send its kind, or no exec_ref_id",
        )

    @pytest.mark.parametrize("reference", [None, " ", "NULL"])
    def test_a_cancel_without_a_reference_has_no_key(self, reference: str | None) -> None:
        assert rejection(FIX, trade_id="E2", exec_type="H", exec_ref_id=reference) == (
            "KEY_MISSING",
            "E2 has kind cancel and no exec_ref_id: send the trade_id of the record that it replaces",
        )

    def test_a_kind_that_cannot_be_read_is_the_error(self) -> None:
        settings = SourceSettings(reference_field="ref")
        assert rejection(settings, kind="bust", ref="E1")[0] == "EVENT_TYPE_UNSUPPORTED"

    def test_rows_are_sorted_by_the_trade_that_they_are_about(self) -> None:
        rows = Rows(Source.EXECUTIONS, ",".join((*TERMS, "exec_type", "exec_ref_id")), FIX)
        assert rows.key("E2,,,,,H, E1 ") == "E1"
        assert rows.key(" E2,,,,,F,") == "E2"
        assert rows.key("E2,,,,,X,E1") == "E2"  # rejected where it is decoded
        assert rows.key('E2,"') == ""


def test_what_is_shown_beside_a_leg_is_no_unknown_field() -> None:
    shown = shown_fields(Source.EXECUTIONS, FIX)
    assert {"exec_type", "exec_ref_id", "sent_trade_id", "sent_price", "unread_price"} <= shown
    assert not {"sent_at", "sent_exec_type", "price"} & shown


class TestDates:
    @pytest.mark.parametrize(
        ("form", "sent", "iso"),
        [
            ("DD/MM/YYYY", "26/07/2025 10:01:23.000000001", "2025-07-26T10:01:23.000000001"),
            ("DD/MM/YYYY", "6/7/2025T9:01:23Z", "2025-07-06T09:01:23Z"),
            ("MM/DD/YYYY", "07/26/2025, 12:01:23 AM", "2025-07-26T00:01:23"),
            ("MM/DD/YYYY", "7/26/2025 12:01:23pm", "2025-07-26T12:01:23"),
            ("MM/DD/YYYY", "7/26/2025 9:01:23.5 PM +02:00", "2025-07-26T21:01:23.5+02:00"),
            ("YYYY/MM/DD", "2025/07/26 10:01:23", "2025-07-26T10:01:23"),
            ("DD.MM.YYYY", "26.07.2025 10:01:23,250", "2025-07-26T10:01:23,250"),
            ("DD-MM-YYYY", "26-07-2025 10:01:23", "2025-07-26T10:01:23"),
            ("MM-DD-YYYY", "07-26-2025 10:01:23", "2025-07-26T10:01:23"),
            ("DD-MMM-YYYY", "26-JUL-2025 10:01:23", "2025-07-26T10:01:23"),
            ("YYYYMMDD", "20250726 10:01:23", "2025-07-26T10:01:23"),
            ("DD/MM/YYYY", "26/07/2025", "2025-07-26"),
        ],
    )
    def test_a_form_is_read_to_the_nanosecond(self, form: str, sent: str, iso: str) -> None:
        assert to_iso(sent, (DateForm(form),)) == iso

    @pytest.mark.parametrize(
        ("form", "sent"),
        [
            ("DD/MM/YYYY", "2025-07-26T10:01:23Z"),
            ("DD/MM/YYYY", "26/07/25 10:01:23"),
            ("DD/MM/YYYY", "26/07/2025 10:01"),
            ("MM/DD/YYYY", "07/26/2025 13:01:23 PM"),
            ("MM/DD/YYYY", "07/26/2025 0:01:23 AM"),
            ("DD-MMM-YYYY", "26-Jux-2025"),
            ("DD.MM.YYYY", "26/07/2025"),
            ("YYYYMMDD", "20250726-10:01:23"),
        ],
    )
    def test_what_does_not_fit_is_left_alone(self, form: str, sent: str) -> None:
        assert to_iso(sent, (DateForm(form),)) == sent

    def test_it_reaches_every_date_of_a_leg(self) -> None:
        settings = SourceSettings(
            date_forms=(DateForm.COMPACT, DateForm.DAY_MONTH_SLASH), form=Form(naive_zone="Europe/London")
        )
        fact = fact_of(
            settings, timestamp=" 26/07/2025 11:01:23.000000001 ", trade_date="26/07/2025", settlement_date="2025-07-29"
        )
        leg = fact.leg
        assert isinstance(leg, Confirmation)
        assert leg.timestamp_ns == instant("2025-07-26T10:01:23.000000001Z").ns
        assert (leg.trade_date, leg.settlement_date) == ("2025-07-26", "2025-07-29")
        assert fact.extra == {
            "sent_timestamp": " 26/07/2025 11:01:23.000000001 ",
            "sent_trade_date": "26/07/2025",
        }

    def test_a_day_that_no_calendar_has(self) -> None:
        settings = SourceSettings(date_forms=(DateForm.DAY_MONTH_SLASH,))
        assert rejection(settings, timestamp="31/02/2025 10:01:23")[0] == "TIMESTAMP_INVALID"

    @given(st.datetimes(), st.sampled_from([form for form in DateForm if form is not DateForm.DAY_NAME_HYPHEN]))
    def test_writing_and_reading_is_the_identity(self, moment: Any, form: DateForm) -> None:
        date = {"YYYY": f"{moment.year:04}", "MM": f"{moment.month:02}", "DD": f"{moment.day:02}"}
        written = form.value
        for part, text in date.items():
            written = written.replace(part, text)
        assert to_iso(f"{written} {moment:%H:%M:%S}", (form,)) == f"{'-'.join(date.values())}T{moment:%H:%M:%S}"


class TestGranularity:
    @pytest.mark.parametrize(
        ("sent", "declared", "granularity"),
        [
            ("2025-07-26T10:01:23.000Z", 0, 0),
            ("2025-07-26T10:01:23Z", 3, 3),
            ("2025-07-26T10:01:23.120000Z", 2, 2),
            ("2025-07-26T10:01:23.125Z", 2, 3),
            ("20250726-10:01:23.000", 0, 0),
            ("2016-12-31T23:59:60Z", 3, 0),
            ("1753524083000", 0, 0),
            ("1753524083001", 0, 3),
        ],
    )
    def test_declared_digits_count_unless_finer_ones_are_used(self, sent: str, declared: int, granularity: int) -> None:
        assert instant(sent, Form(epoch_unit=EpochUnit.MS, granularity=declared)).granularity == granularity


class TestSides:
    @pytest.mark.parametrize(("sent", "side"), [("BUY", "SELL"), ("1", "SELL"), (" S ", "BUY"), ("", None)])
    def test_a_mirrored_side_is_turned(self, sent: str, side: str | None) -> None:
        assert leg_of(SourceSettings(side=SideView.MIRRORED), side=sent).side == side

    def test_a_side_that_is_no_direction_cannot_be_turned(self) -> None:
        settings = SourceSettings(side=SideView.MIRRORED)
        assert rejection(settings, side="CROSS") == (
            "SCHEMA_INVALID",
            "T1 has side 'CROSS': this source states its own view, so send a purchase or a sale",
        )
        assert leg_of(settings, side="CROSS", kind="cancel").side == "CROSS"

    def test_what_was_sent_is_shown(self) -> None:
        assert fact_of(SourceSettings(side=SideView.MIRRORED), side="BUY").extra == {"sent_side": "BUY"}

    @given(st.sampled_from(("BUY", "SELL", "1", "2", "BOT", "sell short", "CROSS", "x")))
    def test_mirrored_twice_is_the_standard_spelling(self, sent: str) -> None:
        assert opposite(opposite(sent)) == direction(sent)

    @pytest.mark.parametrize(
        ("quantity", "side", "expected"),
        [
            ("-100", None, ("100", "SELL")),
            ("100", None, ("100", "BUY")),
            ("-1E2", "", ("100", "SELL")),
            ("-100", "S", ("100", "S")),
            ("100", "SELL", ("100", "SELL")),
        ],
    )
    def test_a_signed_quantity_gives_the_side(self, quantity: str, side: str | None, expected: tuple[str, str]) -> None:
        leg = leg_of(SourceSettings(signed=True), quantity=quantity, side=side)
        assert (leg.quantity, leg.side) == (Decimal(expected[0]), expected[1])

    def test_the_sign_is_turned_too(self) -> None:
        settings = SourceSettings(signed=True, side=SideView.MIRRORED)
        fact = fact_of(settings, quantity="-100")
        assert isinstance(fact.leg, Confirmation)
        assert (fact.leg.quantity, fact.leg.side) == (Decimal(100), "BUY")
        assert fact.extra == {"sent_quantity": "-100"}

    @pytest.mark.parametrize("quantity", ["0", "-0", "-0.0"])
    def test_zero_is_no_quantity(self, quantity: str) -> None:
        assert rejection(SourceSettings(signed=True), quantity=quantity)[0] == "VALUE_OUT_OF_RANGE"

    def test_a_sign_against_the_side_is_rejected(self) -> None:
        assert rejection(SourceSettings(signed=True), quantity="-100", side="BUY") == (
            "SCHEMA_INVALID",
            "T1 has side 'BUY' and quantity '-100': this source sells what is below zero",
        )

    def test_a_cancel_is_not_asked(self) -> None:
        leg = leg_of(SourceSettings(signed=True), quantity="-100", side="BUY", kind="Cancel")
        assert (leg.quantity, leg.side) == (Decimal(100), "BUY")

    @pytest.mark.parametrize(("sent", "code"), [("many", "SCHEMA_INVALID"), (None, "FIELD_MISSING")])
    def test_a_quantity_that_cannot_be_read(self, sent: str | None, code: str) -> None:
        assert rejection(SourceSettings(signed=True), quantity=sent)[0] == code

    def test_without_the_setting_a_negative_quantity_is_rejected(self) -> None:
        assert rejection(STANDARD_SETTINGS, quantity="-100")[0] == "VALUE_OUT_OF_RANGE"


class TestMinorUnits:
    @pytest.mark.parametrize(
        ("code", "currency", "price"),
        [("GBX", "GBP", "190.5"), ("GBp", "GBP", "190.5"), ("ZAc", "ZAR", "190.5"), ("KWd", "KWD", "19.05")],
    )
    def test_an_amount_is_divided_exactly(self, code: str, currency: str, price: str) -> None:
        fact = fact_of(PENCE, price="19050", currency=code, commission="50")
        assert isinstance(fact.leg, Confirmation)
        assert (fact.leg.price, fact.leg.currency) == (Decimal(price), currency)
        assert fact.leg.hints == (Hint.NORMALISED,)
        assert fact.extra == {"sent_price": "19050", "sent_currency": code, "sent_commission": "50"}

    def test_a_snapshot_is_divided_too(self) -> None:
        leg = fact_of(PENCE, source=Source.PNL, currency=" GBX ", open_price="1").leg
        assert leg == PnlSnapshot(
            "T1",
            Decimal("19049.5"),
            Decimal("0.5"),
            currency="GBP",
            open_price=Decimal("0.01"),
            hints=(Hint.NORMALISED,),
        )

    @pytest.mark.parametrize("currency", ["GBP", "gbx", "USD", None])
    def test_another_currency_is_not(self, currency: str | None) -> None:
        assert leg_of(PENCE, currency=currency).price == Decimal("190.5")

    @pytest.mark.parametrize("currency", [None, "", " "])
    def test_without_a_currency_the_unit_is_not_guessed_and_a_hint_says_so(self, currency: str | None) -> None:
        leg = leg_of(PENCE, currency=currency)
        assert (leg.price, leg.currency, leg.hints) == (Decimal("190.5"), None, (Hint.CURRENCY_UNKNOWN,))
        assert fact_of(PENCE, source=Source.PNL, currency=currency).leg.hints == (Hint.CURRENCY_UNKNOWN,)

    def test_a_record_without_amounts_needs_no_currency(self) -> None:
        assert leg_of(PENCE, kind="cancel", price=None).hints == ()
        assert fact_of(PENCE, source=Source.PNL, pnl_impact="0", commission="0").leg.hints == ()
        assert leg_of(PENCE, currency="USD").hints == leg_of(STANDARD_SETTINGS).hints == ()

    def test_more_digits_than_there_are_is_rejected_not_rounded(self) -> None:
        assert rejection(PENCE, currency="GBX", price="0.00000000000000001")[0] == "NUMBER_PRECISION_EXCEEDED"

    def test_a_price_that_cannot_be_read_is_rejected_as_sent(self) -> None:
        assert "has price '12,5'" in decode_text(PENCE, {**TERMS, "currency": "GBX", "price": "12,5"})

    @given(st.decimals(0, 10**12, places=8), st.sampled_from(sorted(MINOR_UNITS)))
    def test_times_the_unit_it_is_what_was_sent(self, amount: Decimal, code: str) -> None:
        leg = leg_of(PENCE, currency=code, price=format(amount, "f"))
        assert leg.price is not None
        assert leg.price.scaleb(MINOR_UNITS[code].digits) == amount


def decode_text(settings: SourceSettings, fields: dict[str, str]) -> str:
    rejected = decode(Source.CONFIRMATIONS, json.dumps(fields).encode(), ORIGIN, settings)
    assert isinstance(rejected, Rejected)
    return rejected.text


class TestTickers:
    BRK = SourceSettings(aliases={"BRK/B": "BRK.B", "BRK B": "BRK.B"})

    @pytest.mark.parametrize(
        ("settings", "sent", "ticker", "hints"),
        [
            (SourceSettings(fold_case=True), "aapl", "AAPL", (Hint.NORMALISED,)),
            (SourceSettings(fold_case=True), "AAPL", "AAPL", ()),
            (SourceSettings(fold_case=True), " AAPL", "AAPL", (Hint.NORMALISED,)),
            (SourceSettings(fold_case=True), "ａapl", "ａapl", ()),
            (BRK, "BRK/B", "BRK.B", (Hint.ALIAS,)),
            (BRK, " BRK B ", "BRK.B", (Hint.ALIAS, Hint.NORMALISED)),
            (BRK, "BRK.B", "BRK.B", ()),
            (BRK, "brk/b", "brk/b", ()),
            (
                SourceSettings(fold_case=True, aliases={"BRK/B": "BRK.B"}),
                "brk/b",
                "BRK.B",
                (Hint.ALIAS, Hint.NORMALISED),
            ),
        ],
    )
    def test_a_ticker_gets_its_standard_spelling(
        self, settings: SourceSettings, sent: str, ticker: str, hints: tuple[Hint, ...]
    ) -> None:
        leg = leg_of(settings, ticker=sent)
        assert (leg.ticker, leg.hints) == (ticker, hints)

    def test_a_hint_joins_the_others(self) -> None:
        leg = leg_of(self.BRK, ticker="BRK/B", timestamp="2025-07-26T10:01:23")
        assert leg.hints == (Hint.ALIAS, Hint.TIMESTAMP_NO_TIMEZONE)


class TestFields:
    def test_a_required_field_that_is_absent(self) -> None:
        settings = SourceSettings(required=("account",))
        assert leg_of(settings, account="A").account == "A"
        assert rejection(settings, account=" ") == ("FIELD_MISSING", "T1 has no account: send one in every record")

    def test_a_cancel_needs_no_more_than_its_id(self) -> None:
        assert leg_of(SourceSettings(required=("account",)), kind="cancel").account is None

    def test_a_field_of_its_own_may_be_required(self) -> None:
        settings = SourceSettings(kind_field="exec_type", kinds=FIX_KINDS, required=("exec_type",))
        assert leg_of(settings, exec_type="F").kind is Kind.NEW
        assert rejection(settings)[0] == "FIELD_MISSING"

    def test_a_file_must_have_the_required_column(self) -> None:
        with pytest.raises(HeaderError, match="lacks the column account"):
            Rows(Source.EXECUTIONS, ",".join(TERMS), SourceSettings(required=("account",)))

    @pytest.mark.parametrize(
        ("name", "field"),
        [("ticker", "ticker"), ("quantity", "quantity"), ("price", "price"), ("timestamp", "timestamp_ns")],
    )
    def test_a_term_that_no_check_reads_may_be_absent(self, name: str, field: str) -> None:
        settings = SourceSettings(optional=(name,))
        absent: dict[str, Any] = {name: None}
        fact = fact_of(settings, **absent, side="BUY")
        assert getattr(fact.leg, field) is None
        assert isinstance(fact.leg, Confirmation)
        assert fact.leg.side == "BUY"
        assert decode_fact(encode_journal(fact)) == msgspec.structs.replace(fact)
        assert leg_format(fact.leg) == 2
        assert rejection(STANDARD_SETTINGS, **absent)[0] == "FIELD_MISSING"

    def test_its_other_terms_are_read_as_ever(self) -> None:
        leg = leg_of(SourceSettings(optional=("price",)), price=None, ticker=" AAPL", timestamp="2025-07-26T10:01:23")
        assert (leg.ticker, leg.hints) == ("AAPL", (Hint.NORMALISED, Hint.TIMESTAMP_NO_TIMEZONE))

    def test_but_what_is_sent_must_be_readable(self) -> None:
        assert rejection(SourceSettings(optional=("price",)), price="abc")[0] == "SCHEMA_INVALID"

    def test_and_the_others_must_be_there(self) -> None:
        assert rejection(SourceSettings(optional=("price",)), price=None, ticker=None)[0] == "FIELD_MISSING"

    def test_a_leg_without_a_price_survives_its_result(self) -> None:
        fact = fact_of(SourceSettings(optional=("price", "timestamp")), price=None, timestamp=None)
        encoded = msgspec.json.encode(to_message(fact, stands=True, extras=True))
        read = msgspec.json.decode(encoded, type=LegMessage[ReadPayload])
        assert to_fact(Source.CONFIRMATIONS, read, 3).leg == fact.leg


class TestStandard:
    def test_equal_settings_are_the_standard_ones(self) -> None:
        rows = Rows(Source.EXECUTIONS, ",".join(TERMS), SourceSettings())
        assert rows.settings is STANDARD_SETTINGS

    def test_what_may_be_absent_changes_no_record_that_has_it(self) -> None:
        assert reads_plainly(SourceSettings(optional=("price",)))
        assert not reads_plainly(SourceSettings(signed=True))

    @given(st.sampled_from([Source.EXECUTIONS, Source.CONFIRMATIONS]))
    def test_settings_that_fit_nothing_change_nothing(self, source: Source) -> None:
        settings = SourceSettings(
            date_forms=(DateForm.DAY_MONTH_SLASH,),
            kinds=FIX_KINDS,
            minor_units={"GBX": MinorUnit("GBP", 2)},
            aliases={"BRK/B": "BRK.B"},
        )
        sent = json.dumps({**TERMS, "currency": "GBP"}).encode()
        plain = decode(source, sent, ORIGIN)
        assert decode(source, sent, ORIGIN, settings) == plain
        assert isinstance(plain, Fact)
        assert isinstance(plain.leg, Execution | Confirmation)


def test_an_id_that_means_no_id() -> None:
    for sent in ("N/A", "null", "None", " - ", "#N/A", "#n/a"):
        code, text = rejection(STANDARD_SETTINGS, trade_id=sent)
        assert code == "KEY_MISSING"
        assert text.endswith("that is no id: send the id of the trade")
    for sent in ("NA", "nil", "--", "NULL1", "N/A/1"):
        leg: Leg = leg_of(STANDARD_SETTINGS, trade_id=sent)
        assert leg.trade_id == sent


class TestMatchKeys:
    BROKERS = SourceSettings(key_fields=("broker",))
    DAYS = SourceSettings(key_fields=("trade_date", "side"))
    TICKERS = SourceSettings(key_fields=("ticker",), fold_case=True, aliases={"BRK/B": "BRK.B"})

    def test_a_leg_lies_under_its_id_and_the_fields_that_refine_it(self) -> None:
        leg = leg_of(self.BROKERS, broker=" CITI ")
        assert (leg.trade_id, leg.sent_id, leg.broker) == ("T1|broker=CITI", "T1", "CITI")
        assert leg_of(self.DAYS, trade_date="20250726", side="1").trade_id == "T1|trade_date=2025-07-26|side=BUY"
        assert leg_of(self.TICKERS, ticker="brk/b").trade_id == "T1|ticker=BRK.B"
        assert leg_format(leg) == WITH_MATCH_KEY

    def test_no_two_trades_have_one_id(self) -> None:
        sent = [
            ("T1", "A|B"),
            ("T1|A", "B"),
            ("T1\\", "A|B"),
            ("T1\\|A", "B"),
            ("T1", "A"),
            ("T1|A", None),
            ("T1", None),
        ]
        legs = [leg_of(self.BROKERS, trade_id=trade_id, broker=it, kind="cancel") for trade_id, it in sent]
        assert len({leg.trade_id for leg in legs}) == len(sent)
        assert [leg.sent_id for leg in legs] == [trade_id for trade_id, _ in sent]
        assert [has_partial_key(leg) for leg in legs] == [it is None for _, it in sent]

    @pytest.mark.parametrize("source", Source)
    def test_a_snapshot_and_a_cancel_may_leave_the_rest_of_the_key_open(self, source: Source) -> None:
        kind = {} if source is Source.PNL else {"kind": "cancel"}
        leg = fact_of(self.BROKERS, source=source, **kind).leg
        assert (leg.trade_id, leg.sent_id, has_partial_key(leg)) == ("T1", "T1", True)
        leg = fact_of(self.BROKERS, source=source, broker="CITI", **kind).leg
        assert (leg.trade_id, has_partial_key(leg)) == ("T1|broker=CITI", False)

    def test_a_snapshot_has_the_fields_of_the_key_as_a_side_has(self) -> None:
        settings, source = self.DAYS, Source.PNL
        assert (
            fact_of(settings, source=source, trade_date="20250726", side="b").leg.trade_id
            == "T1|trade_date=2025-07-26|side=BUY"
        )
        assert fact_of(self.TICKERS, source=source, ticker="brk/b").leg.trade_id == "T1|ticker=BRK.B"
        code, text = rejection(settings, source=source, trade_date="26.07.", side="1")
        assert code == "TIMESTAMP_UNPARSEABLE"
        assert text.startswith("T1 has trade_date '26.07.': ")

    def test_a_trade_without_the_whole_key_is_rejected(self) -> None:
        text = "T1 has no broker, which is part of the match key: send broker"
        assert rejection(self.BROKERS) == ("KEY_MISSING", text)
        assert rejection(self.BROKERS, kind="amend") == ("KEY_MISSING", text)
        code, text = rejection(self.DAYS, trade_date="2025-07-26", kind="cancel")
        assert code == "KEY_MISSING"
        assert text.endswith("has no side, which is part of the match key: send trade_date and side, or none of them")

    @pytest.mark.parametrize("sent", ["N/A", "null", " - "])
    def test_a_value_that_means_none_is_none(self, sent: str) -> None:
        assert rejection(self.BROKERS, broker=sent)[0] == "KEY_MISSING"
        for source in Source:
            kind = {} if source is Source.PNL else {"kind": "cancel"}
            assert has_partial_key(fact_of(self.BROKERS, source=source, broker=sent, **kind).leg)

    def test_a_cancel_with_a_value_that_cannot_be_read_is_rejected(self) -> None:
        """It names a trade, and as a partial key it would cancel another one."""
        assert rejection(self.DAYS, kind="cancel", trade_date="29/11/2026", side="1")[0] == "TIMESTAMP_UNPARSEABLE"
        assert rejection(self.BROKERS, kind="cancel", broker="x" * 513)[0] == "SIZE_EXCEEDED"

    def test_no_sender_may_use_an_id_of_that_form(self) -> None:
        for settings in (STANDARD_SETTINGS, self.BROKERS):
            code, text = rejection(settings, trade_id="T1|broker=CITI", broker="A")
            assert code == "KEY_INVALID"
            assert text.endswith("that is the form of an id with a match key: send the trade_id alone")
        assert leg_of(STANDARD_SETTINGS, trade_id="T1|CITI|x=1").trade_id == "T1|CITI|x=1"

    def test_a_key_that_is_too_long_is_rejected(self) -> None:
        code, text = rejection(self.BROKERS, trade_id="x" * 300, broker="y" * 205)
        assert code == "KEY_INVALID"
        assert text.endswith(" are too long for a key: send at most 512 characters")
        assert len(leg_of(self.BROKERS, trade_id="x" * 300, broker="y" * 204).trade_id) == 512

    def test_the_key_of_a_record_may_be_the_id_that_was_sent(self) -> None:
        fact = fact_of(self.BROKERS, broker="CITI")
        assert with_other_key(fact, b"T1") == fact
        assert with_other_key(fact, b"T9").origin.sent_key == "T9"

    def test_a_leg_is_read_back_as_it_was(self) -> None:
        for fact in (fact_of(self.BROKERS, broker="C"), as_ambiguous(fact_of(self.BROKERS, source=Source.PNL))):
            assert decode_fact(encode_journal(fact)) == fact
            message = msgspec.json.decode(
                msgspec.json.encode(to_message(fact, stands=True, extras=True)), type=LegMessage[ReadPayload]
            )
            assert to_fact(fact.leg.source, message, WITH_MATCH_KEY).leg == fact.leg

    def test_rows_are_split_by_the_id_that_was_sent(self) -> None:
        rows = Rows(Source.PNL, "trade_id,pnl_impact,commission,broker", self.BROKERS)
        assert rows.key("T1,1,2,CITI") == "T1"


class TestGroups:
    ORDERS = SourceSettings(group_field="order_id")
    BLOCKS = SourceSettings(group_field="block_id", kind_field="exec_type", kinds=FIX_KINDS, reference_field="ref")

    def test_a_leg_lies_under_its_group_and_keeps_its_own_id(self) -> None:
        leg = leg_of(self.ORDERS, order_id=" O1 ")
        assert (leg.trade_id, leg.member_id, leg.order_id) == ("O1", "T1", "O1")
        snapshot = fact_of(self.BLOCKS, source=Source.PNL, block_id="K1").leg
        assert (snapshot.trade_id, snapshot.member_id) == ("K1", "T1")
        assert leg_format(leg) == leg_format(snapshot) == IN_GROUP

    def test_what_a_correction_refers_to_is_the_member(self) -> None:
        leg = leg_of(self.BLOCKS, trade_id="T2", exec_type="G", ref="T1", block_id="K1")
        assert (leg.trade_id, leg.member_id, leg.kind) == ("K1", "T1", Kind.AMEND)

    @pytest.mark.parametrize("sent", ["", " ", "N/A", None])
    def test_a_record_without_a_group_is_rejected_by_name(self, sent: str | None) -> None:
        code, text = rejection(self.BLOCKS, block_id=sent)
        assert code == "KEY_MISSING"
        assert text.startswith(f"T1 has block_id '{(sent or '')}', and the rules group by it: ")

    def test_a_group_id_is_read_as_a_trade_id_is(self) -> None:
        code, text = rejection(self.BLOCKS, block_id="O\u00071")
        assert (code, text) == (
            "KEY_INVALID",
            "T1 has block_id 'O\\x071', and the rules group by it: send text without control characters",
        )

    def test_a_file_must_have_the_column_and_its_rows_lie_under_it(self) -> None:
        with pytest.raises(HeaderError, match="lacks the column block_id"):
            Rows(Source.PNL, ",".join(SNAPSHOT), SourceSettings(group_field="block_id"))
        rows = Rows(Source.PNL, "trade_id,pnl_impact,commission,order_id", self.ORDERS)
        assert [rows.key(line) for line in ("T1,1,2, O1 ", "T1,1,2", "T1,1,2,")] == ["O1", "", ""]

    def test_a_key_may_be_the_members_or_the_groups(self) -> None:
        fact = fact_of(self.ORDERS, order_id="O1")
        assert with_other_key(fact, b"T1") == with_other_key(fact, b"O1") == fact
        assert with_other_key(fact, b"T9").origin.sent_key == "T9"

    def test_a_leg_of_a_group_is_read_back_as_it_was(self) -> None:
        for fact in (fact_of(self.ORDERS, order_id="O1"), fact_of(self.ORDERS, source=Source.PNL, order_id="O1")):
            assert decode_fact(encode_journal(fact)) == fact
            message = msgspec.json.decode(
                msgspec.json.encode(to_message(fact, stands=True, extras=True)), type=LegMessage[ReadPayload]
            )
            assert to_fact(fact.leg.source, message, IN_GROUP).leg == fact.leg

    def test_a_member_id_of_the_senders_own_is_no_member(self) -> None:
        fact = fact_of(STANDARD_SETTINGS, member_id="M1")
        assert (fact.leg.member_id, [*(fact.extra or ())]) == (None, ["member_id"])
        message = msgspec.json.decode(
            msgspec.json.encode(to_message(fact, stands=True, extras=True)), type=LegMessage[ReadPayload]
        )
        assert to_fact(fact.leg.source, message, leg_format(fact.leg)).leg == fact.leg
