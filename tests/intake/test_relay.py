"""A line and the message made from it give the same leg, or are both rejected."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from traderecon.intake import COLUMNS, MAX_BYTES, Rows, decode, message_of
from traderecon.records import Fact, Leg, Origin, RejectCode, Rejected, Source

ORIGIN = Origin("t", 0, 0)
HEADERS = {
    Source.EXECUTIONS: "trade_id,ticker,quantity,price,timestamp,version,kind,note",
    Source.CONFIRMATIONS: "timestamp, price ,quantity,ticker,trade_id,side,schema_version,",
    Source.PNL: "trade_id,pnl_impact,commission,version,note",
}
CELLS = (
    "T1",
    "AAPL",
    "100",
    "190.50",
    "2025-07-26T10:01:23Z",
    "",
    " ",
    "1",
    "new",
    "cancel",
    "12,5",
    "NaN",
    "é",
    "{",
    "}",
)
ODD = ("\ufffd", "\udcff", "\x00", "\r", '"', '""', '" ', ",", "\u2028", "=1+1", '{"trade_id":"T1"}', "\\", "\x7f")


def leg_of(decoded: Fact | Rejected) -> Leg | None:
    return decoded.leg if isinstance(decoded, Fact) else None


def both(source: Source, header: str, line: str) -> tuple[Fact | Rejected, Fact | Rejected]:
    """What the line decodes to, and what its message does."""
    rows = Rows(source, header)
    return rows.decode(line, ORIGIN), decode(source, message_of(rows.columns, line, rows.unknown), ORIGIN)


lines = st.lists(
    st.sampled_from(CELLS) | st.lists(st.sampled_from((*CELLS, *ODD)), max_size=3).map("".join), max_size=9
).map(",".join)


@given(st.sampled_from(Source), lines)
@example(Source.EXECUTIONS, "T1,AAPL,100,190.50,2025-07-26T10:01:23Z,2,cancel,odd")
@example(Source.EXECUTIONS, '"T,1", AAPL ,100,190.50,2025-07-26T10:01:23Z')
@example(Source.CONFIRMATIONS, "2025-07-26T10:01:23Z,190.5,100,AAPL,T1,buy,2,x")
@example(Source.PNL, "T1,95,0.5,,")
@example(Source.PNL, "T1,95,0.5,,\udcff")
@example(Source.EXECUTIONS, "T1,AAPL,100,190.50,2025-07-26T10:01:23Z,2,new,\ufffd")
@example(Source.PNL, "")
def test_a_message_and_its_line_give_the_same_leg(source: Source, line: str) -> None:
    of_line, of_message = both(source, HEADERS[source], line)
    assert leg_of(of_line) == leg_of(of_message)


@pytest.mark.parametrize("source", Source)
def test_a_plain_line_gives_a_leg(source: Source) -> None:
    values = {"trade_id": "T1", "ticker": "A", "quantity": "1", "price": "2", "timestamp": "2025-07-26T10:01:23Z"}
    header = ",".join(COLUMNS[source])
    line = ",".join(values.get(name, "3") for name in COLUMNS[source])
    of_line, of_message = both(source, header, line)
    assert leg_of(of_line) == leg_of(of_message) is not None


def test_an_empty_cell_was_not_sent() -> None:
    assert message_of(("trade_id", "pnl_impact", "commission"), "T1,,0.5") == b'{"trade_id":"T1","commission":"0.5"}'


@given(st.sampled_from(Source), lines)
@example(Source.PNL, "T1,1,2,\x0b,more")
@example(Source.PNL, "T1,1,2,\r,3,4")
@example(Source.PNL, '"T1\x00,1,2')
@example(Source.PNL, '"T1')
@example(Source.PNL, '"')
@example(Source.PNL, "\udcff")
@example(Source.PNL, "[1,2,3,4,5,6]")
@example(Source.PNL, "{T1,1,2,3,4,5,6")
@example(Source.PNL, '"a\\",b,c,d,e,f,g"')
@example(Source.EXECUTIONS, "T1,T1,T1,T1,T1,T1,T1,\ufffd")
def test_a_line_that_is_no_row_is_rejected_with_the_same_code(source: Source, line: str) -> None:
    rows = Rows(source, HEADERS[source])
    of_line, of_message = both(source, HEADERS[source], line)
    is_row = message_of(rows.columns, line, rows.unknown).startswith(b"{")
    if is_row or line.strip().endswith(("}", "]")):  # what may be JSON in a string is no line of CSV
        return
    assert isinstance(of_line, Rejected)
    assert isinstance(of_message, Rejected)
    assert of_message.code is of_line.code is RejectCode.SCHEMA_INVALID
    assert "ingest it again" in of_message.text


@pytest.mark.parametrize("line", ["T1,1,2,one,more", '"T1,1,2', "T1,\udcff,2"])
def test_a_line_that_is_no_row_is_sent_byte_for_byte(line: str) -> None:
    assert message_of(COLUMNS[Source.PNL], line) == line.encode(errors="surrogateescape")


def test_an_object_in_a_csv_file_does_not_slip_in() -> None:
    line = '  {"trade_id":"T1","pnl_impact":"1","commission":"2","note":"this is no CSV"}'
    value = message_of(COLUMNS[Source.PNL], line)
    decoded = decode(Source.PNL, value, ORIGIN)
    assert isinstance(decoded, Rejected)
    assert decoded.code is RejectCode.MALFORMED_JSON
    assert b'\\"T1\\"' in value


def test_a_line_that_is_too_long_is_sent_unchanged() -> None:
    line = "{" + "x" * MAX_BYTES
    value = message_of(COLUMNS[Source.PNL], line)
    assert value == line.encode()
    decoded = decode(Source.PNL, value, ORIGIN)
    assert isinstance(decoded, Rejected)
    assert decoded.code is RejectCode.SIZE_EXCEEDED
