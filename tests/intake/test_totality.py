"""P12: every byte string and every line gives a fact or a reject, in bounded work. Source: DOMAIN.md 6.3, G09."""

import faulthandler
import json
import sys
from collections.abc import Callable, Collection, Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from traderecon.intake import EpochUnit, Form, HeaderError, Rows, SourceSettings, decode, messages
from traderecon.intake.legs import KNOWN_FIELDS
from traderecon.records import Fact, Origin, Rejected, Source
from traderecon.records.journal import encode_journal

ORIGIN = Origin("executions", 0, 1)
HEADER = "trade_id,ticker,quantity,price,timestamp,note"
GOOD = (
    b'{"trade_id":"T1","ticker":"AAPL","quantity":100,"price":"190.50","timestamp":"2025-07-26T10:01:23Z",'
    b'"version":2,"note":[1,{"a":null}]}'
)
SNAPSHOT = b'{"trade_id":"T1","pnl_impact":"19049.50","commission":0.5,"currency":"USD"}'
NAMES = ("trade_id", "ticker", "quantity", "price", "timestamp", "version", "kind", "pnl_impact", "note", "note2")
HANG_S = 120

sources = st.sampled_from(Source)
forms = st.builds(
    Form,
    naive_zone=st.sampled_from(("UTC", "America/New_York", "Asia/Tokyo")),
    epoch_unit=st.none() | st.sampled_from(EpochUnit),
)
crumbs = st.sampled_from(
    [
        *(bytes([byte]) for byte in b'{}[]",:\\ \t\n0-+.eENtf\x00\x7f\xc3\xed\xff'),
        *(name.encode() for name in NAMES),
        *(b'"trade_id":', b"null", b"true", b"NaN", b"-Infinity", b"1e999", b'":', b'" ', b"\\u", b"\\ud800"),
        *("é".encode(), "\ufeff".encode()),
    ]
)

tokens = st.sampled_from(
    (
        "1",
        "-0",
        "1.5",
        "1e5",
        "1E400",
        "9" * 4_301,
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "NaN",
        "true",
        "null",
        "[]",
        "{}",
        "[1, 2]",
        '{"a":1}',
    )
) | st.text(st.characters(codec="utf-8"), max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False))
blanks = st.sampled_from(("", "", "", " ", "\t", "\n"))


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """One level of JSON, nearly always valid, with every way to repeat a key."""
    text = "{"
    for i in range(draw(st.integers(0, 7))):
        name = draw(st.sampled_from(NAMES))
        quoted = draw(st.sampled_from((f'"{name}"', f'"{name}"', f'"{name}"', f'"\\u{ord(name[0]):04x}{name[1:]}"')))
        text += f"{',' if i else ''}{draw(blanks)}{quoted}{draw(blanks)}:{draw(blanks)}{draw(tokens)}{draw(blanks)}"
    return f"{text}}}".encode()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good message after a few accidents."""
    value = draw(st.sampled_from((GOOD, SNAPSHOT)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.sampled_from((start, start + 1, start + draw(st.integers(0, 30)))))
        value = value[:start] + draw(crumbs | st.binary(max_size=4)) + value[end:]
    return value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)
nested = st.dictionaries(st.sampled_from(NAMES), json_values, max_size=6).map(
    lambda members: json.dumps(members).encode()
)
cut_text = st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
any_bytes = objects() | mutated() | nested | cut_text | st.binary(max_size=80)

civil = st.from_regex(
    r"(0001|1969|1970|2016|2025|2262|9999)-?(01|02|06|12|13)-?(01|29|30|31)[T -]"
    r"(00|02|23|24):(00|59):(00|59|60|61)([.,][0-9]{0,12})?(Z|[+-](00|01|15|16):?(00|59)?)?",
    fullmatch=True,
)


class TestEveryByteString:
    @given(sources, any_bytes, forms)
    @example(Source.EXECUTIONS, b"", Form())
    @example(Source.EXECUTIONS, b'"' * 1000, Form())
    @example(Source.EXECUTIONS, GOOD.replace(b"null", b"9" * 4_301), Form())
    def test_is_a_fact_or_a_reject(self, source: Source, value: bytes, form: Form) -> None:
        decoded = decode(source, value, ORIGIN, SourceSettings(form=form))
        assert isinstance(decoded, Fact | Rejected)
        assert decoded.origin is ORIGIN
        assert isinstance(decoded, Fact) or decoded.text.isprintable()
        if isinstance(decoded, Fact):
            json.loads(encode_journal(decoded))  # any JSON reader accepts the stored fact

    @given(civil | st.text(max_size=30), forms)
    @example("9999-12-31T23:59:60-01:00", Form())
    @example("0001-01-01T00:00:60+15:00", Form())
    @example("9999-12-31T23:59:59", Form(naive_zone="America/New_York"))
    @example("0001-01-01T00:00:00", Form(naive_zone="Asia/Tokyo"))
    def test_whatever_its_timestamp_is(self, sent: str, form: Form) -> None:
        value = json.dumps(json.loads(GOOD) | {"timestamp": sent}).encode()
        assert isinstance(decode(Source.EXECUTIONS, value, ORIGIN, SourceSettings(form=form)), Fact | Rejected)

    @given(
        sources, st.integers(0, 2000).map(lambda count: b'{"a":' * count) | st.integers(0, 2000).map(lambda n: b"[" * n)
    )
    def test_however_deep(self, source: Source, value: bytes) -> None:
        assert isinstance(decode(source, value, ORIGIN), Rejected)


def fields_of(
    read: Callable[[Collection[str], bytes], tuple[dict[str, str | None], Any] | None],
    known: Collection[str],
    value: bytes,
) -> tuple[dict[str, str | None], Any] | None:
    """The fields that a reader gives, the unknown ones parsed; numbers as their text."""
    result = read(known, value)
    if result is None:
        return None
    fields, extra = result
    parsed = {name: json.loads(bytes(raw), parse_int=str, parse_float=str) for name, raw in (extra or {}).items()}
    return fields, parsed


class TestFastPath:
    """Whatever the fast reader accepts, the strict one accepts too, with the same fields."""

    @given(sources, any_bytes)
    @example(Source.EXECUTIONS, b'{"trade_id":"T1","trade_id":"T2"}')
    @example(Source.EXECUTIONS, b'{"trade_id" :"T1","trade_id":"T2"}')
    @example(Source.EXECUTIONS, b'{"trade_id":"T1","note":{"trade_id":"T2"}}')
    @example(Source.EXECUTIONS, b'{"trade_id":"T1","note":"x\\"}')
    @example(Source.EXECUTIONS, b'{"trade_id":":","price":":"}')
    @example(Source.EXECUTIONS, b'{"trade_id":"T1","price":1 }')
    def test_agrees_with_the_strict_one(self, source: Source, value: bytes) -> None:
        fast = fields_of(messages._fast_fields, KNOWN_FIELDS[source], value)
        if fast is not None:
            assert fast == fields_of(messages._strict_fields, KNOWN_FIELDS[source], value)

    @pytest.mark.parametrize(("source", "value"), [(Source.EXECUTIONS, GOOD), (Source.PNL, SNAPSHOT)])
    def test_accepts_a_common_message_also_with_blanks(self, source: Source, value: bytes) -> None:
        common = value.replace(b',"note":[1,{"a":null}]', b"")
        assert messages._fast_fields(KNOWN_FIELDS[source], common) is not None
        assert messages._fast_fields(KNOWN_FIELDS[source], json.dumps(json.loads(common)).encode()) is not None

    @pytest.mark.parametrize(
        "value",
        [
            b'{"trade_id":"T1","trade_id":"T2"}',
            b'{"trade_id" :"T1"}',
            b'{"trade_id":"T\\u0031"}',
            b'{"trade_id":1}',
            b'{"price":true}',
            b'{"price":false}',
            b'{"price":null}',
            b'{"price":[1]}',
            b'{"price":{}}',
            b'{"trade_id":"\xc3\xa9"}',
            b'{"trade_id":"T1",\n"price":1}',
            b'{"note":{"a":1}}',
            b'{"note":' + b"[" * 32 + b"]" * 32 + b"}",
            b"{bad",
            b'{"a":"' + b"x" * 65_536 + b'"}',
        ],
    )
    def test_leaves_ambiguous_messages_to_the_strict_one(self, value: bytes) -> None:
        assert messages._fast_fields(KNOWN_FIELDS[Source.EXECUTIONS], value) is None


lines = (
    st.text()
    | st.text(st.sampled_from('T1,"\n\r\t0.-eZ:;\x00é\udcff'))
    | st.lists(
        st.text(max_size=6) | st.sampled_from(("T1", "100", "190.50", "2025-07-26T10:01:23Z", '"a,b"', '""')),
        max_size=8,
    ).map(",".join)
)


class TestEveryLine:
    @given(sources, lines, st.booleans())
    def test_is_a_fact_or_a_reject(self, source: Source, line: str, unknown: bool) -> None:
        header = "trade_id,pnl_impact,commission" if source is Source.PNL else HEADER
        rows = Rows(source, header if unknown else header.removesuffix(",note"))
        decoded = rows.decode(line, ORIGIN)
        assert isinstance(decoded, Fact | Rejected)
        assert decoded.origin is ORIGIN
        key = rows.key(line)
        assert isinstance(decoded, Rejected) or key == decoded.leg.trade_id

    @given(sources, lines)
    def test_is_a_header_or_no_header(self, source: Source, line: str) -> None:
        try:
            columns = Rows(source, line).columns
        except HeaderError as error:
            columns = (str(error),)
        assert "trade_id" in columns or columns[0].isprintable()


@pytest.fixture
def no_hang() -> Iterator[None]:
    """Ends the run, with a traceback, if a reader hangs. Not a speed test: a good reader takes milliseconds."""
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def work(task: Callable[[], object]) -> int:
    """Calls made, into Python and into C, until the task is done."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        task()
    finally:
        sys.setprofile(before)
    return calls


def decoding(value: bytes) -> Callable[[], object]:
    return lambda: decode(Source.EXECUTIONS, value, ORIGIN)


SHAPES: dict[str, Callable[[int], bytes]] = {
    "backslashes": lambda size: b'{"a":"' + b"\\" * (2 * size) + b'"}',
    "quotes": lambda size: b'"' * size,
    "escaped quotes": lambda size: b'\\"' * size,
    "brackets in strings": lambda size: b'"[\\"' * size,
    "arrays": lambda size: b"[]" * size,
    "open arrays": lambda size: b"[" * size,
    "text of brackets": lambda size: b'{"a":"' + b"[" * size + b'"}',
    "open objects": lambda size: b'{"a":' * size,
    "flat objects": lambda size: b'{"a":[' + b"{}," * size + b"{}]}",
    "many fields": lambda size: b"{" + b",".join(b'"%05d":1' % i for i in range(size)) + b"}",
    "digits": lambda size: GOOD.replace(b"100", b"9" * size),
    "blanks": lambda size: GOOD.replace(b"100", b'"' + b" " * size + b'x"'),
    "zeros": lambda size: GOOD.replace(b"190.50", b"0." + b"0" * size),
    "fraction digits": lambda size: GOOD.replace(b"23Z", b"23." + b"0" * size),
    "a long key": lambda size: GOOD.replace(b"T1", b"x" * size),
    "no ASCII": lambda size: b"\xf0\x9f\x9a\x80" * size,
}


class TestBoundedWork:
    def test_input_that_is_too_long_is_not_read_at_all(self) -> None:
        little_too_long = work(decoding(b"{" * 65_537))
        assert work(decoding(b"{" * 10_000_000)) == little_too_long
        assert little_too_long < 20
        rows = Rows(Source.EXECUTIONS, HEADER)
        assert work(lambda: rows.decode("," * 10_000_000, ORIGIN)) == work(lambda: rows.decode("," * 65_537, ORIGIN))

    @pytest.mark.parametrize("shape", SHAPES)
    def test_work_grows_with_the_length_and_not_faster(self, shape: str, no_hang: None) -> None:
        small, large = SHAPES[shape](500), SHAPES[shape](5_000)
        assert len(large) <= messages.MAX_BYTES
        decoding(small)()  # the table of near names is made once
        assert work(decoding(large)) <= 10 * work(decoding(small)) + 100

    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_longest_accepted_input_does_not_hang(self, shape: str, no_hang: None) -> None:
        value = SHAPES[shape](60_000)[: messages.MAX_BYTES]
        for source in Source:
            assert isinstance(decode(source, value, ORIGIN), Rejected)
            rows = Rows(source, "trade_id,pnl_impact,commission,ticker,quantity,price,timestamp")
            assert isinstance(rows.decode(value.decode(errors="surrogateescape"), ORIGIN), Rejected)

    def test_a_repeated_key_is_found_without_comparing_each_with_each(self) -> None:
        compared = 0

        class Name(str):
            __slots__ = ()

            def __eq__(self, other: object) -> bool:
                nonlocal compared
                compared += 1
                return str.__eq__(self, other)

            __hash__ = str.__hash__

        pairs: list[tuple[str, Any]] = [(Name(f"field{i}"), 1) for i in range(2_000)]
        assert messages._Members([*pairs, (Name("field1999"), 2)]).repeated == ["field1999"]
        assert compared < 20_000
