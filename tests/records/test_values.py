"""Numbers, instants, identities: one form per value, nothing rounded."""

import hashlib
import json
from decimal import Decimal, Inexact, InvalidOperation

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import booked, ours, theirs

from traderecon.records import CONTENT, Hint, Kind, Leg, Source, identity
from traderecon.records.instants import FOREVER_NS, NS_PER_DAY, NS_PER_MS, NS_PER_S, iso, milliseconds, received_ns
from traderecon.records.numbers import EXACT, FRACTION_DIGITS, INTEGER_DIGITS, ZERO, canonical, notional, plain

D = Decimal


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "form"),
        [
            ("100", "100"),
            ("100.0", "100"),
            ("1E2", "100"),
            ("1E+17", "1" + "0" * 17),
            ("190.50", "190.5"),
            ("0.000", "0"),
            ("-0", "0"),
            ("0E+50", "0"),
            ("-37.630", "-37.63"),
            ("1E-18", "1E-18"),
            ("9" * 18 + "." + "9" * 18, "9" * 18 + "." + "9" * 18),
            ("1." + "0" * 126, "1"),
        ],
    )
    def test_one_form_per_value(self, value: str, form: str) -> None:
        assert str(canonical(D(value))) == form

    @given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**17), max_value=10**17))
    def test_the_form_is_the_value_and_final(self, value: Decimal) -> None:
        form = canonical(value)
        assert form == value
        assert str(canonical(form)) == str(form)
        assert D(plain(form)) == value
        assert "E" not in plain(form)

    def test_plain_digits(self) -> None:
        assert plain(D("1E-17")) == "0.00000000000000001"
        assert plain(D("1E2")) == "100"
        assert plain(D("-0.50")) == "-0.5"

    def test_exact_arithmetic_raises_instead_of_rounding(self) -> None:
        assert EXACT.prec == 256
        assert EXACT.add(D(1), D("1E-255")) == D("1." + "0" * 254 + "1")
        with pytest.raises(Inexact):
            EXACT.add(D(1), D("1E-256"))
        with pytest.raises(Inexact):
            EXACT.divide(D(1), D(3))
        with pytest.raises(InvalidOperation):
            EXACT.add(D("Infinity"), D("-Infinity"))

    def test_an_amount_squared_fits(self) -> None:
        most = D("9" * INTEGER_DIGITS + "." + "9" * FRACTION_DIGITS)
        assert EXACT.multiply(most, most) > 0
        assert INTEGER_DIGITS == FRACTION_DIGITS == 18
        assert str(ZERO) == "0"

    @pytest.mark.parametrize("price", ["Infinity", "-Infinity"])
    def test_a_price_that_is_not_finite_has_no_notional(self, price: str) -> None:
        with pytest.raises(ArithmeticError, match="is not a finite amount"):
            notional(D(price), D(100))


class TestInstants:
    @pytest.mark.parametrize(
        ("ns", "text"),
        [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.000000001Z"),
            (1_753_524_083_000_000_000, "2025-07-26T10:01:23Z"),
            (1_753_524_083_100_000_000, "2025-07-26T10:01:23.100Z"),
            (1_753_524_083_120_000_000, "2025-07-26T10:01:23.120Z"),
            (1_753_524_083_100_001_000, "2025-07-26T10:01:23.100001Z"),
            (1_753_524_083_100_000_001, "2025-07-26T10:01:23.100000001Z"),
            (1_753_524_083_000_001_000, "2025-07-26T10:01:23.000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (FOREVER_NS, "2262-04-11T23:47:16.854775807Z"),
        ],
    )
    def test_as_many_fraction_digits_as_needed(self, ns: int, text: str) -> None:
        assert iso(ns) == text

    @pytest.mark.parametrize(
        ("ns", "text"),
        [
            (-62_135_596_800 * NS_PER_S, "0001-01-01T00:00:00Z"),
            (-62_135_596_800 * NS_PER_S - 1, "0001-01-01T00:00:00Z"),
            (-(2**63) * NS_PER_MS, "0001-01-01T00:00:00Z"),
            (-(10**400), "0001-01-01T00:00:00Z"),
            (253_402_300_799 * NS_PER_S, "9999-12-31T23:59:59Z"),
            (253_402_300_800 * NS_PER_S, "9999-12-31T23:59:59.999999999Z"),
            (2**63 * NS_PER_MS, "9999-12-31T23:59:59.999999999Z"),
        ],
    )
    def test_any_number_has_a_text(self, ns: int, text: str) -> None:
        assert iso(ns) == text

    @pytest.mark.parametrize(
        ("timestamp_ms", "ns"),
        [
            (-(2**63), 0),
            (-1, 0),
            (0, 0),
            (1, NS_PER_MS),
            (9_223_372_036_854, 9_223_372_036_854 * NS_PER_MS),
            (9_223_372_036_855, FOREVER_NS),
            (2**63 - 1, FOREVER_NS),
        ],
    )
    def test_the_time_a_record_was_received_is_clipped(self, timestamp_ms: int, ns: int) -> None:
        assert received_ns(timestamp_ms) == ns

    @pytest.mark.parametrize(
        ("ns", "text"),
        [
            (0, "0"),
            (1, "0.000001"),
            (1_000_000, "1"),
            (90_000_000, "90"),
            (100_000_001, "100.000001"),
            (100_500_000, "100.5"),
            (10_000_000_000, "10000"),
        ],
    )
    def test_durations_in_milliseconds(self, ns: int, text: str) -> None:
        assert milliseconds(ns) == text

    def test_units(self) -> None:
        assert (NS_PER_MS, NS_PER_S, NS_PER_DAY) == (10**6, 10**9, 86_400 * 10**9)
        assert FOREVER_NS == 2**63 - 1


class TestLegs:
    def test_sources_are_topics(self) -> None:
        assert [source.value for source in Source] == ["executions", "broker_confirmations", "pnl_snapshot"]
        assert (ours().source, theirs().source, booked().source) == tuple(Source)

    def test_kinds_have_ranks(self) -> None:
        assert sorted(Kind, key=lambda kind: kind.rank) == ["new", "amend", "cancel"]
        assert [kind.rank for kind in (Kind.NEW, Kind.AMEND, Kind.CANCEL)] == [0, 1, 2]

    def test_content_excludes_the_trade_and_how_the_leg_was_sent(self) -> None:
        for leg in (ours(), theirs(), booked()):
            sent = {"trade_id", "member_id", "sent_id", "version", "kind", "hints", "granularity"}
            assert set(CONTENT[leg.source]) == set(leg.__struct_fields__) - sent


class TestIdentity:
    def test_it_is_the_hash_of_the_canonical_json_of_the_content(self) -> None:
        content = {
            "source": "executions",
            "trade_id": "T1",
            "ticker": "AAPL",
            "quantity": "100",
            "price": "190.50",
            "timestamp_ns": 1_753_524_083_000_000_000,
            "granularity": 3,
            "currency": "USD",
        }
        canonical_json = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        assert identity(ours(currency="USD")) == hashlib.sha256(canonical_json).hexdigest()

    @pytest.mark.parametrize("leg", [ours(), theirs(side="BUY", kind=Kind.CANCEL), booked(None, "1", version=2)])
    def test_a_decoded_leg_has_the_same_identity(self, leg: Leg) -> None:
        again = msgspec.json.decode(msgspec.json.encode(leg), type=Leg)
        assert again == leg
        assert identity(again) == identity(leg)

    def test_every_field_is_content(self) -> None:
        other = {
            "trade_id": "T2",
            "member_id": "F1",
            "sent_id": "T2",
            "ticker": "MSFT",
            "quantity": "1",
            "price": "1",
            "timestamp_ns": 1,
            "granularity": 0,
            "version": 2,
            "kind": Kind.AMEND,
            "side": "BUY",
            "currency": "USD",
            "account": "A",
            "broker": "B",
            "counterparty": "C",
            "order_id": "O",
            "commission": D(1),
            "trade_date": "2025-07-26",
            "settlement_date": "2025-07-28",
            "contract_multiplier": D(50),
            "hints": (Hint.NORMALISED,),
        }
        assert set(other) == set(ours().__struct_fields__)
        legs: list[Leg] = [ours(**{name: value}) for name, value in other.items()]
        legs += [ours(), theirs(), booked(), booked(None), booked(commission=None), booked(open_price=D(1))]
        legs += [booked(mark_price=D(1)), booked(currency="USD"), booked(version=2), booked(hints=(Hint.ALIAS,))]
        assert len({identity(leg) for leg in legs}) == len(legs)
