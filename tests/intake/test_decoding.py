"""What is accepted, what is rejected, and the error texts. Source: DOMAIN.md section 5, cases E12 to E16 and G."""

import json
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from traderecon.intake import BLANKS, MAX_BYTES, UTC_FORM, EpochUnit, Form, HeaderError, Rows, SourceSettings, decode
from traderecon.intake.decode_error import DecodeError, quote
from traderecon.intake.instants import Instant, instant
from traderecon.intake.values import key, number, text
from traderecon.records import (
    ALL_VERSIONS,
    Confirmation,
    Execution,
    Fact,
    Hint,
    Kind,
    Origin,
    PnlSnapshot,
    RejectCode,
    Rejected,
    Source,
)
from traderecon.records.journal import decode_fact, encode_journal
from traderecon.records.legs import NAMES

ORIGIN = Origin("executions", 2, 17, 1_753_524_083_500_000_000)
HEADER = "trade_id,ticker,quantity,price,timestamp"
LINE = "T-81,AAPL,100,190.50,2025-07-26T10:01:23Z"
TENTH_S = 100_000_000
SECOND_NS = 1_753_524_083_000_000_000
NEW_YORK = Form(naive_zone="America/New_York")


def message(**tokens: str | None) -> bytes:
    """A good execution with other JSON tokens in some fields; None leaves the field out."""
    good = {
        "trade_id": '"T-81"',
        "ticker": '"AAPL"',
        "quantity": "100",
        "price": '"190.50"',
        "timestamp": '"2025-07-26T10:01:23Z"',
    }
    sent = (f'"{name}": {token}' for name, token in (good | tokens).items() if token is not None)
    return f"{{{', '.join(sent)}}}".encode(errors="surrogatepass")


def snapshot(**tokens: str) -> bytes:
    """A pnl snapshot of these JSON tokens."""
    return message(ticker=None, quantity=None, price=None, timestamp=None, **tokens)


def fact_of(value: bytes, source: Source = Source.EXECUTIONS, form: Form = UTC_FORM) -> Fact:
    fact = decode(source, value, ORIGIN, SourceSettings(form=form))
    assert isinstance(fact, Fact), fact
    assert fact.origin is ORIGIN
    return fact


def execution(**tokens: str | None) -> Execution:
    leg = fact_of(message(**tokens)).leg
    assert isinstance(leg, Execution)
    return leg


def rejection(value: bytes | None, source: Source = Source.EXECUTIONS, form: Form = UTC_FORM) -> tuple[RejectCode, str]:
    rejected = decode(source, value, ORIGIN, SourceSettings(form=form))
    assert isinstance(rejected, Rejected), rejected
    assert rejected.origin is ORIGIN
    return rejected.code, rejected.text


def error_code_of(parse: Callable[..., object], *sent: object) -> RejectCode:
    with pytest.raises(DecodeError) as error:
        parse(*sent)
    return error.value.code


ERRORS = {
    "a tombstone": (None, "TOMBSTONE_IGNORED", "a null value deletes nothing here: send a cancel"),
    "an array": (
        b"[]",
        "MALFORMED_JSON",
        "the message is no JSON object (it is an array, not an object): send one object in UTF-8",
    ),
    "no UTF-8": (
        b'{"trade_id": "T-81\xff"}',
        "MALFORMED_JSON",
        "the message is no JSON object (byte 18 is not UTF-8): send one object in UTF-8",
    ),
    "a field twice": (
        b'{"price": 1, "price": 2}',
        "SCHEMA_INVALID",
        "the message has 'price' more than once: send each field once",
    ),
    "a decimal comma": (
        message(price='"12,5"'),
        "SCHEMA_INVALID",
        "T-81 has price '12,5': send a decimal with a point and nothing else in it",
    ),
    "another schema": (
        message(schema_version="2"),
        "SCHEMA_UNSUPPORTED",
        "T-81 has schema_version '2': this reader knows 1",
    ),
    "no price": (message(price=None), "FIELD_MISSING", "T-81 has no price: send one in every record"),
    "no key": (message(trade_id=None), "KEY_MISSING", "the record has no trade_id: send one in every record"),
    "a key with NUL": (
        message(trade_id='"T\\u00001"'),
        "KEY_INVALID",
        r"T\x001 has trade_id 'T\x001': send text without control characters",
    ),
    "a key with a point": (
        message(trade_id="1.5"),
        "KEY_INVALID",
        "trade_id '1.5': send text, or a whole number",
    ),
    "infinity as text": (message(price='"-inf"'), "VALUE_NOT_FINITE", "T-81 has price '-inf': send a finite number"),
    "NaN": (message(price="NaN"), "VALUE_NOT_FINITE", "price is the number NaN: send a finite number"),
    "a huge price": (
        message(price="1e400"),
        "VALUE_OUT_OF_RANGE",
        "T-81 has price '1e400': send at most 18 digits before the point",
    ),
    "a fill of nothing": (
        message(quantity="0"),
        "VALUE_OUT_OF_RANGE",
        "T-81 has quantity '0': send a quantity above zero",
    ),
    "a huge version": (
        message(version=str(2**63)),
        "VALUE_OUT_OF_RANGE",
        f"T-81 has version '{2**63}': send a whole number from 0 to {2**63 - 2}",
    ),
    "half a version": (
        message(version="1.5"),
        "SCHEMA_INVALID",
        "T-81 has version '1.5': send a whole number from 0 to 9223372036854775806",
    ),
    "a version that is no number": (
        message(version='"x"'),
        "SCHEMA_INVALID",
        "T-81 has version 'x': send a whole number from 0 to 9223372036854775806",
    ),
    "19 fraction digits": (
        message(price="1e-19"),
        "NUMBER_PRECISION_EXCEEDED",
        "T-81 has price '1e-19': send at most 18 digits after the point",
    ),
    "finer than a nanosecond": (
        message(timestamp='"2025-07-26T10:01:23.0000000001Z"'),
        "NUMBER_PRECISION_EXCEEDED",
        "T-81 has timestamp '2025-07-26T10:01:23.0000000001Z': send at most nine fraction digits",
    ),
    "no timestamp": (
        message(timestamp='"yesterday"'),
        "TIMESTAMP_UNPARSEABLE",
        "T-81 has timestamp 'yesterday': send ISO 8601 like 2025-07-26T10:01:23.000Z",
    ),
    "a bare number": (
        message(timestamp="1753524083000"),
        "TIMESTAMP_UNPARSEABLE",
        "T-81 has timestamp '1753524083000': a bare number may be s, ms, us or ns since 1970: "
        "send ISO 8601 like 2025-07-26T10:01:23.000Z",
    ),
    "30 February": (
        message(timestamp='"2025-02-30T10:01:23Z"'),
        "TIMESTAMP_INVALID",
        "T-81 has timestamp '2025-02-30T10:01:23Z': there is no such date or time",
    ),
    "a long text": (
        message(ticker=f'"{"x" * 513}"'),
        "SIZE_EXCEEDED",
        f"T-81 has ticker '{'x' * 60}… (513 characters)': send at most 512 characters",
    ),
    "a long message": (b" " * 65_537, "SIZE_EXCEEDED", "the message has 65537 bytes: send at most 65536"),
    "a deep message": (
        b'{"x": ' + b"[" * 60_000,
        "MALFORMED_JSON",
        "the message is no JSON object (its brackets are not closed): send one object in UTF-8",
    ),
    "another event": (
        message(kind='"funding"', ticker=None, quantity=None, price=None),
        "EVENT_TYPE_UNSUPPORTED",
        "T-81 has kind 'funding': send new, amend or cancel",
    ),
    "half a character": (
        message(ticker='"\\ud800"'),
        "SCHEMA_INVALID",
        "the ticker has half a character (a lone surrogate): send whole characters",
    ),
}


class TestErrorTexts:
    """One sentence per code: what was found, in which trade, what to send."""

    @pytest.mark.parametrize("what", ERRORS)
    def test_in_a_message(self, what: str) -> None:
        value, code, text = ERRORS[what]
        assert rejection(value) == (code, text)

    def test_about_a_clock_that_was_set(self) -> None:
        assert rejection(message(timestamp='"2025-11-02T01:30:00"'), form=NEW_YORK) == (
            "TIMESTAMP_AMBIGUOUS",
            "T-81 has timestamp '2025-11-02T01:30:00': clocks in America/New_York showed this time twice:"
            " send the offset",
        )
        assert rejection(message(timestamp='"2025-03-09T02:30:00"'), form=NEW_YORK) == (
            "TIMESTAMP_INVALID",
            "T-81 has timestamp '2025-03-09T02:30:00': no clock in America/New_York showed this time:"
            " it was set forward",
        )

    def test_long_values_are_shortened(self) -> None:
        assert quote("x" * 60) == repr("x" * 60)
        assert quote("x" * 61) == f"'{'x' * 60}… (61 characters)'"
        assert quote("\u202e\x1b[31m") == r"'\u202e\x1b[31m'"
        code, reason = rejection(message(trade_id=f'"{"k" * 100}"', price='""'))
        assert (code, reason) == ("FIELD_MISSING", f"{'k' * 80} has no price: send one in every record")


TOO_MUCH = {
    "10 MB": b"x" * 10_000_000,
    "arrays in arrays": b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "60,000 digits": message(quantity="9" * 60_000),
    "100,000 digits": message(quantity="9" * 100_000),
    "129 digits": message(quantity=f'"{"9" * 129}"'),
    "a key of 5 MB": message(trade_id=f'"{"x" * 5_000_000}"'),
    "10,000 fields": b"{" + b", ".join(b'"field%d": 1' % n for n in range(10_000)) + b"}",
}


class TestMalformed:
    """G01: what is no JSON object costs itself and nothing else."""

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b" ",
            b"{bad",
            b"null",
            b"true",
            b"1",
            b'"x"',
            b"[]",
            b"[1]",
            b'{"trade_id": "T1"',
            b'{"trade_id": "T1",}',
            b'{"trade_id": "T1"} {}',
            b"{'trade_id': 'T1'}",
            b'{"trade_id": 01}',
            b'{"trade_id": "\\x41"}',
            b'{"trade_id": "\xed\xa0\x80"}',
            b'{"trade_id": "\xc0\x80"}',
            message().decode().encode("utf-16"),
            b"\x1f\x8b\x08\x00" + message(),
            b"\x00\x00\x00\x00\x01" + message(),
            b"{" * 32,
            b"[" * 10_000,
            b'{"x":' * 10_000,
            message(ticker='"@"').replace(b"@", b"\xff"),
        ],
    )
    def test_no_object(self, value: bytes) -> None:
        assert rejection(value)[0] == "MALFORMED_JSON"

    @pytest.mark.parametrize(
        "value",
        [b"T1,1,2,one,more", b'"T2,1,2', b"\xff,1,2", b"T1,a,\xc3\xa9\xff", b" T1;x,2", b"trade_id,ticker,quantity"],
    )
    def test_a_line_of_csv_is_recognised(self, value: bytes) -> None:
        code, text = rejection(value)
        assert code == "SCHEMA_INVALID"
        assert "a line of CSV that does not fit its header" in text

    def test_a_line_of_csv_is_told_how_many_cells_it_has(self) -> None:
        assert "its header, with 5 cells: correct it" in rejection(b'T1,1,"2,3",one,more')[1]
        assert "its header: correct it" in rejection(b'"T2,1,2')[1]

    @pytest.mark.parametrize("value", [b"T1", b"{T1,2", b" [1,2", b"\xef\xbb\xbf{,", b"T1,\x00", b"1,\n2", b""])
    def test_nothing_else_is_accepted(self, value: bytes) -> None:
        assert rejection(value)[0] == "MALFORMED_JSON"

    def test_a_tombstone_is_counted_and_never_a_cancel(self) -> None:
        for source in Source:
            assert rejection(None, source)[0] == "TOMBSTONE_IGNORED"

    @pytest.mark.parametrize("what", TOO_MUCH)
    def test_too_much_of_anything(self, what: str) -> None:
        assert rejection(TOO_MUCH[what])[0] == "SIZE_EXCEEDED"

    def test_a_message_of_exactly_the_limit_is_read(self) -> None:
        padding = MAX_BYTES - len(message(note='""'))
        assert fact_of(message(note=f'"{"x" * padding}"')).leg == execution()
        assert rejection(message(note=f'"{"x" * (padding + 1)}"'))[0] == "SIZE_EXCEEDED"

    def test_nesting_to_the_limit_is_kept_and_brackets_in_text_do_not_nest(self) -> None:
        assert self.note("[" * 31 + "]" * 31) == b"[" * 31 + b"]" * 31
        for deeper in ("[" * 32 + "]" * 32, "[" * 2_000 + "]" * 2_000, '{"a":' * 500 + "1" + "}" * 500):
            assert fact_of(message(note=deeper)).leg == execution()
        assert self.note("[" * 32 + "]" * 32) == b"[" * 31 + b"null" + b"]" * 31
        assert self.note(f"[{'[' * 40}{']' * 40}, 1, {'[' * 40}{']' * 40}]").count(b"null") == 2
        assert fact_of(message(note=f'"{"[{" * 100}"')).extra
        assert fact_of(message(note='"' + '\\"[' * 100 + '"')).extra
        assert fact_of(message(note="[" + "[], " * 100 + "[]]")).extra

    def note(self, token: str) -> bytes:
        extra = fact_of(message(note=token)).extra
        assert extra is not None
        assert isinstance(extra["note"], msgspec.Raw)
        return bytes(extra["note"])

    def test_a_byte_order_mark_before_a_message_is_no_part_of_it(self) -> None:
        assert fact_of(b"\xef\xbb\xbf" + message()).leg == execution()


class TestSchema:
    """G02, G07, G10, G13, F37: the shape of a message."""

    @pytest.mark.parametrize(
        "value",
        [
            message()[:-1] + b', "price": "190.50"}',
            message()[:-1] + b', "pr\\u0069ce": 1}',
            message().replace(b" ", b"")[:-1] + b',"price":"190.50"}',
            message().replace(b" ", b"")[:-1] + b',"price" :"190.50"}',
        ],
    )
    def test_a_repeated_field_is_rejected_however_it_is_written(self, value: bytes) -> None:
        assert rejection(value)[0] == "SCHEMA_INVALID"

    @pytest.mark.matrix("D7")
    @pytest.mark.parametrize(
        ("members", "stored"),
        [
            (b'"note": 1, "note": 2', {"note": b"2"}),
            (b'"note": {"a": 1, "a": 2}', {"note": b'{"a":2}'}),
            (b'"note": NaN, "to": [-Infinity, 1e999]', {"note": b'"NaN"', "to": b'["-Infinity","1e999"]'}),
            (b'"note": "a\nb\x00"', {"note": b'"a\\nb\\u0000"'}),
            (b'"note": "\\ud800"', {"note": '"\ufffd"'.encode()}),
            (b'"\\udfff": [{"\\ud800": 1}]', {"\ufffd": '[{"\ufffd":1}]'.encode()}),
            (b'"note": "M\xfcller", "\xfc": 1', {"note": '"M\ufffdller"'.encode(), "\ufffd": b"1"}),
            (b'"pnl_impact": "a lot", "Kinds": 1', {"pnl_impact": b'"a lot"', "Kinds": b"1"}),
        ],
    )
    def test_unknown_fields_never_cause_a_rejection(self, members: bytes, stored: dict[str, bytes]) -> None:
        fact = fact_of(message()[:-1] + b", " + members + b"}")
        assert fact.leg == execution()
        assert fact.extra is not None
        assert {name: bytes(raw) for name, raw in fact.extra.items() if isinstance(raw, msgspec.Raw)} == stored
        assert isinstance(decode_fact(encode_journal(fact)), Fact)

    @pytest.mark.matrix("D7")
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("versoin", "version"),
            ("Version", "version"),
            ("verison", "version"),
            ("vesion", "version"),
            ("versiom", "version"),
            (" version", "version"),
            ("VERSION", "version"),
            ("orderId", "order_id"),
            ("order-id", "order_id"),
            ("knid", "kind"),
            ("sdie", "side"),
            ("counter party", "counterparty"),
            ("curency", "currency"),
            ("schemaVersion", "schema_version"),
        ],
    )
    def test_a_misspelt_field_is_rejected_with_a_suggestion(self, name: str, meant: str) -> None:
        code, text = rejection(message(**{name: '"2"'}))
        assert code == "SCHEMA_INVALID"
        assert text == (
            f"T-81: {name!r} is not a known field: did you mean {meant}? Rename it to that, or to "
            "something less similar"
        )
        if name.strip() != meant:
            with pytest.raises(HeaderError, match=f"{name!r} is not a known field: did you mean {meant}?"):
                Rows(Source.EXECUTIONS, f"{HEADER},{name},x")

    @pytest.mark.matrix("D7")
    @pytest.mark.parametrize(
        "name",
        [
            "venue",
            "size",
            "sides",
            "brokers",
            "price2",
            "site",
            "kinds",
            "account_id",
            "value_date",
            "x" * 300,
            "",
            "é",
        ],
    )
    def test_dissimilar_names_are_not_misspellings(self, name: str) -> None:
        assert fact_of(message(**{name: '"2"'})).leg == execution()
        assert Rows(Source.EXECUTIONS, f"{HEADER},{name},{name}").unknown == (name,)

    @pytest.mark.matrix("D7")
    def test_a_missing_known_field_may_be_misspelt(self) -> None:
        code, text = rejection(message(price=None, Price="1"))
        assert code == "FIELD_MISSING"
        assert text == (
            "T-81 has no price: send one in every record; 'Price' is not a known field: did you mean price?"
        )
        code, text = rejection(message(trade_id=None, tradeId='"T1"'))
        assert (code, text.endswith("did you mean trade_id?")) == ("KEY_MISSING", True)

    @pytest.mark.parametrize("token", ["true", "false", "[]", "{}", "[1]", '{"value": 1}'])
    @pytest.mark.parametrize("name", ["ticker", "quantity", "price", "timestamp", "version", "kind", "currency"])
    def test_a_field_is_text_or_a_number(self, name: str, token: str) -> None:
        assert rejection(message(**{name: token}))[0] == "SCHEMA_INVALID"

    def test_what_a_value_is_instead(self) -> None:
        reasons = {token: rejection(message(price=token))[1] for token in ("true", "false", "[]", "{}")}
        assert reasons == {
            "true": "price is true or false: send a string or a number",
            "false": "price is true or false: send a string or a number",
            "[]": "price is an array: send a string or a number",
            "{}": "price is an object: send a string or a number",
        }
        errors = {value: rejection(value)[1] for value in (b"1", b'"x"', b"null", b"true")}
        types = {value: reason.split("(it is ")[1].split(",")[0] for value, reason in errors.items()}
        assert types == {b"1": "a number", b'"x"': "a string", b"null": "null", b"true": "true or false"}
        assert "it is a number" in rejection(b"NaN")[1]

    @pytest.mark.matrix("D7")
    def test_unknown_fields_are_kept_and_ignored(self) -> None:
        fact = fact_of(message(__proto__='{"x": [1.10, null, "é"]}', __faust="1e5", note='"a b"'))
        assert fact.leg == execution()
        assert fact.extra is not None
        stored = {name: bytes(raw) for name, raw in fact.extra.items() if isinstance(raw, msgspec.Raw)}
        assert stored == {"__proto__": b'{"x":[1.10,null,"\xc3\xa9"]}', "__faust": b"1e5", "note": b'"a b"'}
        assert execution() == fact_of(message(NOTE="true", price_="false", Price="null")).leg

    @pytest.mark.parametrize(
        ("token", "stored"),
        [
            ("9" * 128, "9" * 128),
            ("9" * 129, '"' + "9" * 129 + '"'),
            ("-" + "9" * 5_000, '"-' + "9" * 5_000 + '"'),
            ("0." + "1" * 5_000, '"0.' + "1" * 5_000 + '"'),
            ("1e99", "1e99"),
            ("1e0099", "1e0099"),
            ("1e100", '"1e100"'),
            ("-1E+999", '"-1E+999"'),
            ("1e-999", "1e-999"),
            ('"1e999"', '"1e999"'),
            ('"' + "9" * 5_000 + '"', '"' + "9" * 5_000 + '"'),
            ('[{"a":1e999},' + "9" * 4_301 + "]", '[{"a":"1e999"},"' + "9" * 4_301 + '"]'),
        ],
        ids=range(12),
    )
    @pytest.mark.parametrize("beside", ["", '"b" : 1,'])
    def test_a_number_that_not_every_reader_accepts_is_stored_as_text(
        self, token: str, stored: str, beside: str
    ) -> None:
        extra = fact_of(f'{{{beside}"x":{token},{message().decode()[1:]}'.encode()).extra
        assert extra is not None
        raw = extra["x"]
        assert isinstance(raw, msgspec.Raw)
        assert bytes(raw).decode() == stored
        assert json.dumps(json.loads(bytes(raw)), allow_nan=False)

    def test_without_unknown_fields_there_is_no_extra(self) -> None:
        assert fact_of(message()).extra is None
        assert fact_of(message().replace(b'" ', b'"\t')).extra is None

    @pytest.mark.parametrize("token", ["1", '"1"', '" 1.0 "', "1E0", "null", '""'])
    def test_schema_version_one_or_none(self, token: str) -> None:
        assert execution(schema_version=token) == execution()

    @pytest.mark.matrix("D7")
    @pytest.mark.parametrize(
        ("token", "code"),
        [
            ("2", "SCHEMA_UNSUPPORTED"),
            ("0", "SCHEMA_UNSUPPORTED"),
            ('"v2"', "SCHEMA_INVALID"),
            ("[]", "SCHEMA_INVALID"),
        ],
    )
    def test_another_schema_is_never_half_read(self, token: str, code: str) -> None:
        assert rejection(message(schema_version=token))[0] == code
        assert rejection(snapshot(schema_version=token, pnl_impact="1"), Source.PNL)[0] == code

    @pytest.mark.parametrize("token", ['"funding"', '"fee"', '"NEW X"', "1"])
    def test_other_kinds_of_event(self, token: str) -> None:
        assert rejection(message(kind=token))[0] == "EVENT_TYPE_UNSUPPORTED"

    def test_kinds_in_any_case(self) -> None:
        assert [execution(kind=token).kind for token in ('"new"', '"AMEND"', '" Cancel "', "null", '""')] == [
            Kind.NEW,
            Kind.AMEND,
            Kind.CANCEL,
            Kind.NEW,
            Kind.NEW,
        ]


class TestFields:
    """G05 and the optional fields: what is sent ends in the leg under its own name."""

    @pytest.mark.parametrize("token", [None, "null", '""', '"   "'])
    @pytest.mark.parametrize("name", ["ticker", "quantity", "price", "timestamp"])
    def test_a_required_field_that_is_blank_is_missing(self, name: str, token: str | None) -> None:
        assert rejection(message(**{name: token})) == (
            "FIELD_MISSING",
            f"T-81 has no {name}: send one in every record",
        )

    def test_all_fields_of_a_side(self) -> None:
        value = message(
            version="3",
            kind='"amend"',
            side='"BUY"',
            currency='"USD"',
            account='"A-1"',
            broker='"BRKA"',
            counterparty='"CP"',
            order_id='"O-7"',
            commission="1.50",
            trade_date='"20250726"',
            settlement_date='"2025-07-28"',
            contract_multiplier="50",
        )
        fields = {
            "trade_id": "T-81",
            "ticker": "AAPL",
            "quantity": Decimal(100),
            "price": Decimal("190.5"),
            "timestamp_ns": SECOND_NS,
            "granularity": 0,
            "version": 3,
            "kind": Kind.AMEND,
            "side": "BUY",
            "currency": "USD",
            "account": "A-1",
            "broker": "BRKA",
            "counterparty": "CP",
            "order_id": "O-7",
            "commission": Decimal("1.5"),
            "trade_date": "2025-07-26",
            "settlement_date": "2025-07-28",
            "contract_multiplier": Decimal(50),
            "hints": (),
            "member_id": None,
            "sent_id": None,
        }
        ours, theirs = fact_of(value).leg, fact_of(value, Source.CONFIRMATIONS).leg
        assert msgspec.structs.asdict(ours) == msgspec.structs.asdict(theirs) == fields
        assert (type(ours), type(theirs)) == (Execution, Confirmation)

    def test_optional_fields_that_are_blank_were_not_sent(self) -> None:
        names = ("version", "kind", "side", "currency", "account", "broker", "counterparty", "order_id")
        for token in ("null", '""', '"  "'):
            assert execution(**dict.fromkeys(names, token)) == execution()

    def test_optional_text_is_trimmed_and_checked(self) -> None:
        assert execution(side='" BUY "').side == "BUY"
        for name in ("side", "currency", "account", "broker", "counterparty", "order_id"):
            assert rejection(message(**{name: '"a\\u0000b"'}))[0] == "SCHEMA_INVALID"
            assert rejection(message(**{name: f'"{"x" * 513}"'}))[0] == "SIZE_EXCEEDED"

    def test_a_snapshot(self) -> None:
        value = snapshot(
            pnl_impact='"19049.50"',
            commission="0.5",
            version="2",
            currency='"USD"',
            open_price="189.545",
            mark_price='"191"',
        )
        leg = fact_of(value, Source.PNL).leg
        assert leg == PnlSnapshot(
            "T-81",
            Decimal("19049.5"),
            Decimal("0.5"),
            version=2,
            currency="USD",
            open_price=Decimal("189.545"),
            mark_price=Decimal(191),
        )
        assert leg.kind is Kind.NEW

    def test_a_snapshot_may_lack_one_amount_but_not_both(self) -> None:
        impact_only = fact_of(snapshot(pnl_impact="1"), Source.PNL).leg
        commission_only = fact_of(snapshot(commission="-0.20", pnl_impact='""'), Source.PNL).leg
        assert impact_only == PnlSnapshot("T-81", Decimal(1), None)
        assert commission_only == PnlSnapshot("T-81", None, Decimal("-0.2"))
        nothing = ("FIELD_MISSING", "T-81 has no pnl_impact: send one in every record")
        assert rejection(snapshot(), Source.PNL) == nothing
        assert rejection(snapshot(pnl_impact="null", commission='" "'), Source.PNL) == nothing

    @pytest.mark.parametrize(
        ("name", "token"),
        [("kind", '"cancel"'), ("Kind", '" CANCELLED "'), ("kind", '"b\\u0075st"'), (" kind", '"Reversal"')],
    )
    def test_a_cancel_of_a_snapshot_is_rejected(self, name: str, token: str) -> None:
        value = snapshot(pnl_impact="1", **{name: token})
        code, text = rejection(value, Source.PNL)
        assert code == "EVENT_TYPE_UNSUPPORTED"
        assert "a snapshot cannot be cancelled: send the correct amounts with a higher version" in text
        row = Rows(Source.PNL, f"trade_id,pnl_impact,commission,{name}").decode(f"T1,1,,{json.loads(token)}", ORIGIN)
        assert isinstance(row, Rejected)
        assert row.code == code

    @pytest.mark.parametrize(
        "token", ['"new"', '"amend"', '"realized"', "null", "1", '["cancel"]', '""', f'"{"x" * 90}"']
    )
    def test_any_other_kind_of_a_snapshot_is_an_unknown_field(self, token: str) -> None:
        fact = fact_of(snapshot(pnl_impact="1", kind=token), Source.PNL)
        assert fact.leg == PnlSnapshot("T-81", Decimal(1), None)
        assert fact.extra == {"kind": msgspec.Raw(token.encode())}
        assert fact_of(snapshot(pnl_impact="1", status='"cancel"'), Source.PNL).leg == fact.leg

    def test_a_snapshot_with_a_bad_amount_is_rejected(self) -> None:
        for name in ("pnl_impact", "commission", "open_price", "mark_price"):
            tokens = {"pnl_impact": "1"} | {name: '"NaN"'}
            assert rejection(snapshot(**tokens), Source.PNL) == (
                "VALUE_NOT_FINITE",
                f"T-81 has {name} 'NaN': send a finite number",
            )

    def test_blanks_around_a_name_are_stripped_and_hinted_at(self) -> None:
        assert execution().hints == ()
        assert execution(ticker='"AAPL "').hints == (Hint.NORMALISED,)
        assert execution(trade_id='" T-81"').hints == (Hint.NORMALISED,)
        assert execution(ticker='" AAPL"').ticker == "AAPL"
        assert execution(price='" 190.50 "').hints == ()
        assert fact_of(snapshot(trade_id='"T-81 "', pnl_impact="1"), Source.PNL).leg.hints == (Hint.NORMALISED,)
        assert fact_of(snapshot(pnl_impact="1"), Source.PNL).leg.hints == ()

    def test_hints_are_sorted(self) -> None:
        assert execution(ticker='"A "', timestamp='"2025-07-26T10:01:23"').hints == (
            Hint.NORMALISED,
            Hint.TIMESTAMP_NO_TIMEZONE,
        )


class TestKeys:
    """E12 to E16, G11, G12: what names a trade."""

    @pytest.mark.parametrize(
        ("token", "trade_id"),
        [
            ('"T1 "', "T1"),
            ('"t1"', "t1"),
            ("1", "1"),
            ('"1"', "1"),
            ('"001"', "001"),
            ("-7", "-7"),
            (f'"{"x" * 512}"', "x" * 512),
            ("9" * 512, "9" * 512),
            ('"a|b"', "a|b"),
            ('"../../etc"', "../../etc"),
            ('"🚀 صفقة"', "🚀 صفقة"),
            ('"\\ud83d\\ude80"', "🚀"),
            ('"a\u202eb\u200b\ufeffc"', "a\u202eb\u200b\ufeffc"),
            ("\"=cmd|'/c calc'!A1\"", "=cmd|'/c calc'!A1"),
            ('"<script>alert(1)</script>"', "<script>alert(1)</script>"),
            ('"\'; DROP TABLE trades--"', "'; DROP TABLE trades--"),
            ('"${jndi:ldap://x} {{7*7}}"', "${jndi:ldap://x} {{7*7}}"),
            ('"T\u00a01"', "T\u00a01"),
        ],
    )
    def test_a_key_is_unchanged_except_for_blanks(self, token: str, trade_id: str) -> None:
        assert execution(trade_id=token).trade_id == trade_id

    def test_look_alikes_are_other_trades(self) -> None:
        assert execution(trade_id='"caf\u00e9"').trade_id != execution(trade_id='"cafe\u0301"').trade_id

    @pytest.mark.parametrize("token", [None, "null", '""', '"  "'])
    def test_no_key(self, token: str | None) -> None:
        assert rejection(message(trade_id=token))[0] == "KEY_MISSING"

    @pytest.mark.parametrize(
        "token",
        [
            '"\\u0000"',
            '"a\\nb"',
            '"a\\r"',
            '"\\t"',
            '"\\u007f"',
            '"\u0085"',
            '"\u009f"',
            '"\\ud800"',
            '"\\ude80\\ud83d"',
            f'"{"x" * 513}"',
            "9" * 513,
            "1.0",
            "1e2",
            "true",
            "false",
            "[]",
            '{"id": 1}',
        ],
    )
    def test_invalid_keys(self, token: str) -> None:
        assert rejection(message(trade_id=token))[0] == "KEY_INVALID"

    @pytest.mark.parametrize("blank", BLANKS)
    def test_blanks_of_every_kind_around_an_id_and_a_name_are_no_part_of_it(self, blank: str) -> None:
        padded = execution(trade_id=f'"{blank}T-81 {blank}"', ticker=f'"{blank}AAPL{blank}"', price=f'"190.50{blank}"')
        assert padded == msgspec.structs.replace(execution(), hints=(Hint.NORMALISED,))
        assert rejection(message(trade_id=f'"{blank}"'))[0] == "KEY_MISSING"
        assert rejection(message(price=f'"{blank}"'))[0] == "FIELD_MISSING"
        assert execution(side=f'"{blank}"') == execution()
        rows = Rows(Source.EXECUTIONS, f'{blank}trade_id{blank},{blank}"ticker"{blank},quantity,price,timestamp')
        line = f'{blank}"T-81"{blank},{blank}AAPL{blank}, 100 ,{blank}"190.50",{blank}2025-07-26T10:01:23Z{blank}'
        fact = rows.decode(line, ORIGIN)
        assert isinstance(fact, Fact)
        assert fact.leg == padded
        assert rows.key(line) == "T-81"

    def test_a_key_by_itself(self) -> None:
        assert key("  T 1 ") == "T 1"
        assert error_code_of(key, "   ") == "KEY_MISSING"
        assert error_code_of(key, "x" * 513) == "KEY_INVALID"
        assert error_code_of(key, "\x1b") == "KEY_INVALID"
        assert error_code_of(text, "  ") == "FIELD_MISSING"


class TestNumbers:
    """5.1, G03, G04, G06, G08: exact, or refused."""

    @pytest.mark.parametrize(
        ("sent", "value"),
        [
            ("100", "100"),
            ("100.0", "100"),
            ("1E2", "100"),
            ("1e+2", "100"),
            ("10000e-2", "100"),
            ("+100", "100"),
            ("000100", "100"),
            (" 190.50 ", "190.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-.5e1", "-5"),
            ("-0", "0"),
            ("-0.000", "0"),
            ("0e999999999", "0"),
            ("0e-999999999", "0"),
            ("-37.63", "-37.63"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("9007199254740993", "9007199254740993"),
            ("9" * 18, "9" * 18),
            ("-" + "9" * 18, "-" + "9" * 18),
            ("0." + "0" * 17 + "1", "1E-18"),
            ("1e-18", "1E-18"),
            ("1" * 18 + "." + "1" * 18, "1" * 18 + "." + "1" * 18),
            ("0.1" + "0" * 125, "0.1"),
            ("1" + "0" * 17 + "." + "0" * 40, "1" + "0" * 17),
        ],
    )
    def test_taken_by_value(self, sent: str, value: str) -> None:
        taken_as = number(sent)
        assert taken_as == Decimal(value)
        exponent = taken_as.as_tuple().exponent
        assert isinstance(exponent, int)
        assert exponent <= 0
        assert not (exponent and not taken_as.as_tuple().digits[-1]), "trailing zeros"
        assert str(taken_as) != "-0"

    @pytest.mark.parametrize(
        "sent",
        [
            "",
            ".",
            "-",
            "+",
            "e5",
            "1e",
            "1e1.5",
            "--1",
            "+-1",
            "1,234.50",
            "12,5",
            "1 000.5",
            "1\u00a0000",
            "1'000",
            "1_000",
            "0x10",
            "0b1",
            "1/2",
            "abc",
            "190.50 USD",
            "$5",
            "１００",
            "٣",
            "−5",
            "1e٣",
            "1\n",
            "\t1",
            "nano",
            "infinit",
            "1e1234567890",
        ],
    )
    def test_no_number(self, sent: str) -> None:
        assert error_code_of(number, sent) == "SCHEMA_INVALID"

    @pytest.mark.parametrize("sent", ["NaN", "nan", "-nan", "inf", "+Inf", "Infinity", "-INFINITY", " NaN "])
    def test_not_finite(self, sent: str) -> None:
        assert error_code_of(number, sent) == "VALUE_NOT_FINITE"

    @pytest.mark.matrix("D8")
    @pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
    def test_not_finite_in_a_message(self, token: str) -> None:
        for name in ("quantity", "price"):
            assert rejection(message(**{name: token}))[0] == "VALUE_NOT_FINITE"
            assert rejection(message(**{name: f'"{token}"'}))[0] == "VALUE_NOT_FINITE"

    @pytest.mark.parametrize("sent", ["1" + "0" * 18, "-1e18", "1e400", "1e999999999", "12345678901234567890123456789"])
    def test_too_large(self, sent: str) -> None:
        assert error_code_of(number, sent) == "VALUE_OUT_OF_RANGE"

    @pytest.mark.parametrize(
        "sent", ["1e-19", "0." + "0" * 18 + "1", "1." + "1" * 19, "0." + "1" * 40, "1e-400", "-1e-999999999"]
    )
    def test_too_fine(self, sent: str) -> None:
        assert error_code_of(number, sent) == "NUMBER_PRECISION_EXCEEDED"

    def test_too_long(self) -> None:
        assert number("1." + "0" * 126) == 1
        assert error_code_of(number, "1." + "0" * 127) == "SIZE_EXCEEDED"

    def test_no_digit_of_a_json_number_is_lost(self) -> None:
        assert execution(price="99999999.123456789").price == Decimal("99999999.123456789")
        assert execution(price="0.123456789012345678").price == Decimal("0.123456789012345678")
        assert execution(quantity="0.30000000000000004").quantity != execution(quantity="0.3").quantity
        assert execution(quantity="9007199254740993").quantity == 9_007_199_254_740_993
        assert execution(quantity="100").quantity == execution(quantity='"1E2"').quantity == 100

    def test_a_price_may_be_zero_or_below(self) -> None:
        assert [execution(price=token).price for token in ("0", "-0", "-37.63")] == [0, 0, Decimal("-37.63")]

    @pytest.mark.parametrize("token", ["0", "-0", "0.000", "-100", '"-1e-18"'])
    def test_a_quantity_is_above_zero(self, token: str) -> None:
        assert rejection(message(quantity=token))[0] == "VALUE_OUT_OF_RANGE"
        assert execution(quantity="1e-18").quantity == Decimal("1E-18")

    @pytest.mark.parametrize(
        ("token", "version"),
        [
            ("0", 0),
            ("1", 1),
            ('"2.0"', 2),
            ("1e9", 10**9),
            ("1753524083000", 1_753_524_083_000),
            (str(2**63 - 2), 2**63 - 2),
        ],
    )
    def test_versions(self, token: str, version: int) -> None:
        assert execution(version=token).version == version
        assert fact_of(snapshot(pnl_impact="1", version=token), Source.PNL).leg.version == version

    @pytest.mark.parametrize(
        ("token", "code"),
        [
            ("-1", "VALUE_OUT_OF_RANGE"),
            (str(2**63 - 1), "VALUE_OUT_OF_RANGE"),
            ("9" * 20, "VALUE_OUT_OF_RANGE"),
            ("1.5", "SCHEMA_INVALID"),
            ('"two"', "SCHEMA_INVALID"),
        ],
    )
    def test_no_versions(self, token: str, code: str) -> None:
        assert rejection(message(version=token))[0] == code


class TestTimestamps:
    """5.1, 5.2 and C14 to C16: the instant that was meant, to the nanosecond, or an error."""

    @pytest.mark.parametrize(
        ("sent", "ns", "granularity"),
        [
            ("2025-07-26T10:01:23Z", SECOND_NS, 0),
            ("2025-07-26t10:01:23z", SECOND_NS, 0),
            ("2025-07-26 10:01:23Z", SECOND_NS, 0),
            ("2025-07-26T10:01:23.000Z", SECOND_NS, 3),
            ("2025-07-26T10:01:23,1Z", SECOND_NS + TENTH_S, 1),
            ("2025-07-26T10:01:23.100001Z", SECOND_NS + 100_001_000, 6),
            ("2025-07-26T10:01:23.100000001Z", SECOND_NS + 100_000_001, 9),
            ("2025-07-26T10:01:23.100000001000Z", SECOND_NS + 100_000_001, 9),
            ("  2025-07-26T10:01:23Z ", SECOND_NS, 0),
            ("2025-07-26T12:01:23+02:00", SECOND_NS, 0),
            ("2025-07-26T12:01:23.0+0200", SECOND_NS, 1),
            ("2025-07-26T05:01:23-05", SECOND_NS, 0),
            ("2025-07-26T04:31:23-05:30", SECOND_NS, 0),
            ("2025-07-27T02:00:23+15:59", SECOND_NS, 0),
            ("2025-07-25T18:02:23-15:59", SECOND_NS, 0),
            ("2025-07-26T10:01:23-00:00", SECOND_NS, 0),
            ("20250726-10:01:23", SECOND_NS, 0),
            ("20250726-10:01:23.000", SECOND_NS, 3),
            ("20250726-10:01:23.100000001", SECOND_NS + 100_000_001, 9),
            ("20250726-12:01:23.5+02:00", SECOND_NS + 5 * TENTH_S, 1),
            ("1970-01-01T00:00:00.000000001Z", 1, 9),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000, 0),
            ("2262-04-11T23:47:16.854775807Z", 2**63 - 1, 9),
        ],
    )
    def test_taken(self, sent: str, ns: int, granularity: int) -> None:
        assert instant(sent) == Instant(ns, granularity, ())

    @pytest.mark.parametrize(
        "sent", ["2025-07-26T10:01:23", "2025-07-26 10:01:23.000", "2025-07-26T10:01:23,000000000"]
    )
    def test_naive_is_utc_with_a_hint(self, sent: str) -> None:
        assert instant(sent).ns == SECOND_NS
        assert instant(sent).hints == (Hint.TIMESTAMP_NO_TIMEZONE,)

    @pytest.mark.matrix("C3")
    def test_naive_by_the_zone_of_its_source(self) -> None:
        naive = instant("2025-07-26T06:01:23", NEW_YORK)
        assert naive == Instant(SECOND_NS, 0, (Hint.TIMESTAMP_NO_TIMEZONE,))
        winter = instant("2025-01-26T05:01:23.25", NEW_YORK)
        assert winter.ns == instant("2025-01-26T10:01:23.25Z").ns

    def test_a_zone_that_was_sent_takes_precedence_over_the_source(self) -> None:
        for sent in ("2025-07-26T10:01:23Z", "2025-07-26T12:01:23+02:00", "20250726-10:01:23", "20250726-10:01:23.000"):
            assert instant(sent, NEW_YORK).ns == SECOND_NS
            assert instant(sent, NEW_YORK).hints == ()

    def test_a_form_reaches_the_fields_of_a_message_and_a_row(self) -> None:
        leg = fact_of(message(timestamp='"2025-07-26T06:01:23"'), form=NEW_YORK).leg
        rows = Rows(Source.EXECUTIONS, HEADER, SourceSettings(form=NEW_YORK))
        fact = rows.decode("T-81,AAPL,100,190.5,2025-07-26T06:01:23", ORIGIN)
        assert isinstance(fact, Fact)
        assert isinstance(leg, Execution)
        assert fact.leg == leg
        assert leg.timestamp_ns == SECOND_NS

    @pytest.mark.matrix("C3")
    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            ("2025-11-02T00:59:59", None),
            ("2025-11-02T01:00:00", "TIMESTAMP_AMBIGUOUS"),
            ("2025-11-02T01:30:00", "TIMESTAMP_AMBIGUOUS"),
            ("2025-11-02T01:59:59.999", "TIMESTAMP_AMBIGUOUS"),
            ("2025-11-02T02:00:00", None),
            ("2025-03-09T01:59:59", None),
            ("2025-03-09T02:00:00", "TIMESTAMP_INVALID"),
            ("2025-03-09T02:30:00", "TIMESTAMP_INVALID"),
            ("2025-03-09T03:00:00", None),
            ("2025-11-02T01:30:00-05:00", None),
        ],
    )
    def test_where_clocks_are_set(self, sent: str, code: str | None) -> None:
        if code:
            assert error_code_of(instant, sent, NEW_YORK) == code
        else:
            assert instant(sent, NEW_YORK).granularity == 0

    @pytest.mark.matrix("C3")
    def test_a_leap_second_is_the_last_nanosecond_of_its_minute(self) -> None:
        new_year_ns = 1_483_228_800_000_000_000
        for sent in ("2016-12-31T23:59:60Z", "2017-01-01T01:59:60+02:00", "20161231-23:59:60"):
            assert instant(sent) == Instant(new_year_ns - 1, 0, (Hint.LEAP_SECOND,))
        assert instant("2016-12-31T23:59:60.5Z") == Instant(new_year_ns - 1, 1, (Hint.LEAP_SECOND,))
        assert instant("2016-12-31T23:59:60").hints == (Hint.LEAP_SECOND, Hint.TIMESTAMP_NO_TIMEZONE)
        assert instant("2016-12-31T18:59:60", NEW_YORK).ns == new_year_ns - 1
        assert instant("2015-06-30T23:59:60Z").hints == (Hint.LEAP_SECOND,)

    @pytest.mark.parametrize(
        "sent",
        [
            "2025-07-26T10:01:60Z",
            "2016-12-31T23:58:60Z",
            "2016-12-31T22:59:60Z",
            "2016-12-30T23:59:60Z",
            "2016-12-31T23:59:60+02:00",
            "2016-12-31T23:59:61Z",
            "9999-12-31T23:59:60-01:00",
            "0001-01-01T00:00:60+15:00",
            "9999-12-31T23:59:60Z",
        ],
    )
    def test_another_60th_second_is_a_mistake(self, sent: str) -> None:
        assert error_code_of(instant, sent) == "TIMESTAMP_INVALID"

    @pytest.mark.parametrize(
        "sent",
        [
            "2025-02-30T10:01:23Z",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2025-07-26T24:00:00Z",
            "2025-07-26T23:60:00Z",
            "2025-07-26T10:01:23+16:00",
            "2025-07-26T10:01:23+02:60",
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:30:00+01:00",
            "1969-12-31T23:59:59.999999999Z",
            "2262-04-11T23:47:16.854775808Z",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00Z",
        ],
    )
    def test_no_such_moment(self, sent: str) -> None:
        assert error_code_of(instant, sent) == "TIMESTAMP_INVALID"

    @pytest.mark.parametrize(
        ("sent", "zone"),
        [("9999-12-31T23:00:00", "America/New_York"), ("0001-01-01T00:00:00", "Asia/Tokyo")],
    )
    def test_no_such_moment_in_a_zone(self, sent: str, zone: str) -> None:
        assert error_code_of(instant, sent, Form(naive_zone=zone)) == "TIMESTAMP_INVALID"

    @pytest.mark.parametrize(
        "sent",
        [
            "",
            "now",
            "2025-07-26",
            "2025-07-26T10:01Z",
            "2025-07-26T10:01:23.Z",
            "2025-07-26T10:01:23 Z",
            "2025-07-26T10:01:23ZZ",
            "2025-07-26T10:01:23+2",
            "2025-07-26T10:01:23+02:0",
            "2025-07-26T10:01:23\n",
            "2025-07-26T10:01:23Z\n",
            "2025-7-26T10:01:23Z",
            "25-07-26T10:01:23Z",
            "+2025-07-26T10:01:23Z",
            "2025/07/26 10:01:23",
            "26.07.2025 10:01:23",
            "20250726T100123Z",
            "20250726-10:01",
            "20250726-10:01:23\n",
            "２025-07-26T10:01:23Z",
            "20250726-10:01:2３",
            "2025-07-26T10:01:23.٣Z",
            "2025-07-26T10:01:23 Europe/Berlin",
            "1.7535e9",
            "2" * 65,
        ],
    )
    def test_no_timestamp(self, sent: str) -> None:
        assert error_code_of(instant, sent) == "TIMESTAMP_UNPARSEABLE"

    @pytest.mark.parametrize("sent", ["2025-07-26T10:01:23.0000000001Z", "20250726-10:01:23.1234567891"])
    def test_finer_than_a_nanosecond(self, sent: str) -> None:
        assert error_code_of(instant, sent) == "NUMBER_PRECISION_EXCEEDED"

    @pytest.mark.parametrize(
        ("sent", "unit", "ns", "granularity"),
        [
            ("1753524083", EpochUnit.S, SECOND_NS, 0),
            ("1753524083.101", EpochUnit.S, SECOND_NS + 101_000_000, 3),
            ("1753524083.100000001", EpochUnit.S, SECOND_NS + 100_000_001, 9),
            ("1753524083.1000000010", EpochUnit.S, SECOND_NS + 100_000_001, 9),
            ("1753524083000", EpochUnit.MS, SECOND_NS, 3),
            ("1753524083100.001", EpochUnit.MS, SECOND_NS + 100_001_000, 6),
            ("1753524083000001", EpochUnit.US, SECOND_NS + 1_000, 6),
            ("1753524083000000001", EpochUnit.NS, SECOND_NS + 1, 9),
            ("9223372036854775807", EpochUnit.NS, 2**63 - 1, 9),
            (" 1 ", EpochUnit.NS, 1, 9),
        ],
    )
    def test_a_bare_number_by_the_unit_of_its_source(
        self, sent: str, unit: EpochUnit, ns: int, granularity: int
    ) -> None:
        assert instant(sent, Form(epoch_unit=unit)) == Instant(ns, granularity, ())

    def test_a_json_number_is_a_bare_number(self) -> None:
        leg = fact_of(message(timestamp="1753524083000"), form=Form(epoch_unit=EpochUnit.MS)).leg
        assert isinstance(leg, Execution)
        assert leg.timestamp_ns == SECOND_NS

    @pytest.mark.parametrize(
        ("sent", "unit", "code"),
        [
            ("1753524083", None, "TIMESTAMP_UNPARSEABLE"),
            ("1753524083000", None, "TIMESTAMP_UNPARSEABLE"),
            ("1753524083.0000000001", EpochUnit.S, "NUMBER_PRECISION_EXCEEDED"),
            ("1753524083000.000000000000000001", EpochUnit.MS, "NUMBER_PRECISION_EXCEEDED"),
            ("1753524083000000.000000000000000001", EpochUnit.US, "NUMBER_PRECISION_EXCEEDED"),
            ("1.5", EpochUnit.NS, "NUMBER_PRECISION_EXCEEDED"),
            ("0", EpochUnit.S, "TIMESTAMP_INVALID"),
            ("-1", EpochUnit.S, "TIMESTAMP_INVALID"),
            ("9223372037", EpochUnit.S, "TIMESTAMP_INVALID"),
            ("9223372036854775808", EpochUnit.NS, "TIMESTAMP_INVALID"),
            ("+1753524083", EpochUnit.S, "TIMESTAMP_UNPARSEABLE"),
            ("1.7535e9", EpochUnit.S, "TIMESTAMP_UNPARSEABLE"),
            ("1753524083.", EpochUnit.S, "TIMESTAMP_UNPARSEABLE"),
            ("１753524083", EpochUnit.S, "TIMESTAMP_UNPARSEABLE"),
        ],
    )
    def test_no_bare_number(self, sent: str, unit: EpochUnit | None, code: str) -> None:
        assert error_code_of(instant, sent, Form(epoch_unit=unit)) == code


class TestRows:
    """Lines of a CSV file: one record each, whatever is in them."""

    rows = Rows(Source.EXECUTIONS, HEADER)

    def rejection(self, line: str) -> tuple[RejectCode, str]:
        rejected = self.rows.decode(line, ORIGIN)
        assert isinstance(rejected, Rejected), rejected
        assert rejected.origin is ORIGIN
        return rejected.code, rejected.text

    def test_a_line_is_the_leg_its_message_would_be(self) -> None:
        fact = self.rows.decode(LINE, ORIGIN)
        assert fact == Fact(execution(), ORIGIN, None)

    @pytest.mark.parametrize(
        ("line", "code", "text"),
        [
            ("", "KEY_MISSING", "the record has no trade_id: send one in every record"),
            (",,,,", "KEY_MISSING", "the record has no trade_id: send one in every record"),
            (
                "T-81,AAPL",
                "FIELD_MISSING",
                "T-81 has no quantity: send one in every record; the row has 2 cells, the header names 5",
            ),
            (
                f"{LINE},x",
                "SCHEMA_INVALID",
                "the row has 6 cells, the header names 5: quote a cell that has a comma in it",
            ),
            (
                f'"{LINE}',
                "SCHEMA_INVALID",
                "the line has a quote that is never closed, or text after a closing one",
            ),
            (
                '"T-81"x,AAPL,100,190.50,2025-07-26T10:01:23Z',
                "SCHEMA_INVALID",
                "the line has a quote that is never closed, or text after a closing one",
            ),
            (
                f"{LINE}\udcff",
                "SCHEMA_INVALID",
                "the timestamp has bytes that are not UTF-8: save the file as UTF-8",
            ),
            (
                f"{LINE}{' ' * 65_536}",
                "SIZE_EXCEEDED",
                f"the line has {len(LINE) + 65_536} characters: send at most 65536",
            ),
            (
                LINE.replace("190.50", '"1,234.50"'),
                "SCHEMA_INVALID",
                "T-81 has price '1,234.50': send a decimal with a point and nothing else in it",
            ),
        ],
    )
    def test_a_bad_line_costs_itself(self, line: str, code: str, text: str) -> None:
        assert self.rejection(line) == (code, text)

    def test_a_line_of_exactly_the_limit_is_read(self) -> None:
        line = LINE + " " * (MAX_BYTES - len(LINE))
        assert isinstance(self.rows.decode(line, ORIGIN), Fact)
        assert self.rejection(f"{line} ")[0] == "SIZE_EXCEEDED"

    def test_quoted_cells_may_hold_commas_and_quotes(self) -> None:
        fact = self.rows.decode('"T-81","A ""B"", C",100,190.50,2025-07-26T10:01:23Z', ORIGIN)
        assert isinstance(fact, Fact)
        assert isinstance(fact.leg, Execution)
        assert fact.leg.ticker == 'A "B", C'

    def test_columns_in_any_order_with_optional_and_unknown_ones(self) -> None:
        rows = Rows(Source.CONFIRMATIONS, "\ufeffnote, price ,timestamp,quantity,ticker,currency,trade_id,venue")
        assert rows.columns == ("note", "price", "timestamp", "quantity", "ticker", "currency", "trade_id", "venue")
        fact = rows.decode("n,190.50,2025-07-26T10:01:23Z,100,AAPL,USD,T-81", ORIGIN)
        assert isinstance(fact, Fact)
        assert isinstance(fact.leg, Confirmation)
        assert (fact.leg.currency, fact.leg.price, fact.extra) == ("USD", Decimal("190.5"), {"note": "n"})
        full = rows.decode("n,190.50,2025-07-26T10:01:23Z,100,AAPL,,T-81,", ORIGIN)
        assert isinstance(full, Fact)
        assert full.leg == msgspec.structs.replace(fact.leg, currency=None)
        assert full.extra == {"note": "n", "venue": ""}

    @pytest.mark.parametrize(
        ("line", "trade_id"),
        [
            (LINE, "T-81"),
            (' T-81 ,"A,B"', "T-81"),
            ('"T-8,1",AAPL', "T-8,1"),
            ("T-81", "T-81"),
            ("", ""),
            ('"T-81', ""),
            (f"{LINE}\udcff", "T-81"),
            (f"{LINE},more,than,the,header,names", "T-81"),
        ],
    )
    def test_the_key_of_a_line_is_known_before_it_is_decoded(self, line: str, trade_id: str) -> None:
        assert self.rows.key(line) == trade_id

    def test_a_key_in_a_column_that_a_short_line_lacks(self) -> None:
        rows = Rows(Source.PNL, "pnl_impact,commission,trade_id")
        assert [rows.key(line) for line in ("1,2,T-81", "1,2", "1,2,")] == ["T-81", "", ""]

    def test_unknown_columns_are_kept_in_the_order_of_the_file(self) -> None:
        names = [f"x{i}" for i in range(20)]
        rows = Rows(Source.EXECUTIONS, ",".join([HEADER, *names]))
        fact = rows.decode(",".join([LINE, *names]), ORIGIN)
        assert isinstance(fact, Fact)
        assert fact.extra is not None
        assert list(fact.extra) == names

    def test_a_snapshot_line_may_lack_its_commission(self) -> None:
        rows = Rows(Source.PNL, "trade_id,pnl_impact,commission")
        for line in ("T-81,19049.50", "T-81,19049.50,", "T-81,19049.50,  "):
            fact = rows.decode(line, ORIGIN)
            assert isinstance(fact, Fact)
            assert fact.leg == PnlSnapshot("T-81", Decimal("19049.5"), None)

    @pytest.mark.parametrize(
        ("header", "text"),
        [
            (
                "trade_id,ticker,price",
                "lacks the columns quantity, timestamp: its first line must name them, and is 'trade_id,ticker,price'",
            ),
            (
                "",
                "lacks the columns trade_id, ticker, quantity, price, timestamp: its first line must name them, "
                "and is ''",
            ),
            (
                f"{HEADER.upper()}\u202e{'x' * 300}",
                "lacks the columns trade_id, ticker, quantity, price, timestamp: its first line must name them, and is"
                rf" '{HEADER.upper()}\u202e{'x' * 159}'; 'TRADE_ID' is not a known field: did you mean trade_id?",
            ),
            (f"{HEADER},price,note,note", "has the column price more than once"),
            (f'{HEADER},"note', "the line has a quote that is never closed, or text after a closing one"),
        ],
    )
    def test_the_error_of_a_header_names_what_it_lacks(self, header: str, text: str) -> None:
        with pytest.raises(HeaderError) as error:
            Rows(Source.EXECUTIONS, header)
        assert str(error.value) == text

    def test_a_space_before_a_quote_is_no_part_of_the_cell(self) -> None:
        for line in (LINE.replace("AAPL", ' "AAPL"'), LINE.replace("AAPL", '"AAPL" '), LINE.replace("AAPL", '" AAPL"')):
            fact = self.rows.decode(line, ORIGIN)
            assert isinstance(fact, Fact)
            assert fact.leg == execution(ticker='" AAPL"')
        assert self.rejection(LINE.replace("AAPL", ' "AAPL" x'))[0] is RejectCode.SCHEMA_INVALID
        assert self.rejection(LINE.replace("AAPL", ' "AAPL'))[0] is RejectCode.SCHEMA_INVALID

    def test_blank_cells_after_the_last_column_are_ignored(self) -> None:
        fact = self.rows.decode(f"{LINE},, \u00a0,", ORIGIN)
        assert isinstance(fact, Fact)
        assert fact.leg == execution()

    def test_bytes_that_are_not_text_are_accepted_in_an_unknown_column(self) -> None:
        rows = Rows(Source.EXECUTIONS, f"trader,{HEADER}")
        for undecoded in ("\udcff", "\ufffd"):
            fact = rows.decode(f"M{undecoded}ller,{LINE}", ORIGIN)
            assert isinstance(fact, Fact)
            assert fact.leg == execution()
            assert fact.extra == {"trader": "M\ufffdller"}
            assert isinstance(decode_fact(encode_journal(fact)), Fact)

    def test_trailing_commas_in_a_header_name_nothing(self) -> None:
        fact = Rows(Source.EXECUTIONS, f"{HEADER},,").decode(f"{LINE},,", ORIGIN)
        assert isinstance(fact, Fact)
        assert fact.leg == execution()


def test_the_order_of_fields_does_not_matter() -> None:
    members = json.loads(message())
    backwards = json.dumps(dict(reversed(members.items()))).encode()
    assert fact_of(backwards).leg == execution()


class TestCancels:
    """A cancel needs trade_id and kind; its terms are not checked, and unreadable ones are shown."""

    @pytest.mark.parametrize("source", [Source.EXECUTIONS, Source.CONFIRMATIONS])
    def test_a_bare_cancel_is_a_fact_of_every_version(self, source: Source) -> None:
        for fact in (
            decode(source, b'{"trade_id":"T1","kind":"cancel"}', Origin("t", 0, 1)),
            Rows(source, "trade_id,ticker,quantity,price,timestamp,kind").decode("T1,,,,,CANCEL", Origin("t", 0, 1)),
        ):
            assert isinstance(fact, Fact)
            leg = fact.leg
            assert not isinstance(leg, PnlSnapshot)
            assert (leg.ticker, leg.quantity, leg.price, leg.timestamp_ns, leg.granularity) == (None,) * 4 + (0,)
            assert (leg.version, leg.kind, leg.hints, fact.extra) == (ALL_VERSIONS, Kind.CANCEL, (), None)

    def test_readable_terms_are_stored_and_unreadable_ones_shown_beside_the_leg(self) -> None:
        sent = {
            "trade_id": " T1",
            "kind": "cancel",
            "version": "2",
            "ticker": " AAPL",
            "quantity": "0",
            "price": "n/a",
            "timestamp": "2025-07-26T10:01:23",
            "side": "x" * 600,
            "memo": "why",
        }
        fact = decode(Source.EXECUTIONS, json.dumps(sent).encode(), Origin("t", 0, 1))
        assert isinstance(fact, Fact)
        assert isinstance(fact.leg, Execution)
        assert (fact.leg.ticker, fact.leg.quantity, fact.leg.price, fact.leg.version) == ("AAPL", Decimal(0), None, 2)
        assert fact.leg.hints == (Hint.NORMALISED, Hint.TIMESTAMP_NO_TIMEZONE)
        assert fact.extra == {"memo": msgspec.Raw(b'"why"'), "unread_price": "n/a", "unread_side": "x" * 600}

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"kind": "cancel"}, RejectCode.KEY_MISSING),
            ({"trade_id": "T1", "kind": "cancel", "version": "two"}, RejectCode.SCHEMA_INVALID),
            ({"trade_id": "T1"}, RejectCode.FIELD_MISSING),
        ],
    )
    def test_what_a_cancel_requires(self, fields: dict[str, str], code: RejectCode) -> None:
        rejected = decode(Source.EXECUTIONS, json.dumps(fields).encode(), Origin("t", 0, 1))
        assert isinstance(rejected, Rejected)
        assert rejected.code is code


def test_a_term_of_a_cancel_that_is_a_blank_of_any_kind_was_not_sent() -> None:
    for blank in (" ", "\u00a0", "\u2007", "\ufeff"):
        sent = f'{{"trade_id":"T1","kind":"cancel","price":"{blank}","side":"{blank}"}}'.encode()
        fact = decode(Source.EXECUTIONS, sent, Origin("executions", 0, 0))
        assert isinstance(fact, Fact)
        assert isinstance(fact.leg, Execution)
        assert (fact.leg.side, fact.extra) == (None, None)


@pytest.mark.parametrize("source", [Source.EXECUTIONS, Source.CONFIRMATIONS])
def test_a_cancel_keeps_every_field_that_can_be_read(source: Source) -> None:
    sent = dict.fromkeys(NAMES[source] - {"member_id", "sent_id"}, "x")
    sent |= {"quantity": "1", "price": "2", "timestamp": "2025-07-26T10:01:23Z", "version": "3", "kind": "cancel"}
    sent |= {
        "contract_multiplier": "50",
        "commission": "0.5",
        "trade_date": "2025-07-26",
        "settlement_date": "20250728",
    }
    fact = fact_of(json.dumps(sent).encode(), source)
    assert [name for name in fact.leg.__struct_fields__ if getattr(fact.leg, name) is None] == ["member_id", "sent_id"]
    assert fact.extra is None


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("26/07/2025", "TIMESTAMP_UNPARSEABLE"),
        ("2025-0726", "TIMESTAMP_UNPARSEABLE"),
        ("2025-07-26T00:00:00Z", "TIMESTAMP_UNPARSEABLE"),
        ("2025-02-30", "TIMESTAMP_INVALID"),
        ("20251301", "TIMESTAMP_INVALID"),
    ],
)
@pytest.mark.parametrize("name", ["trade_date", "settlement_date"])
def test_a_date_that_is_none_is_rejected(name: str, sent: str, code: str) -> None:
    found, text = rejection(message(**{name: f'"{sent}"'}))
    assert found == code
    assert name in text
