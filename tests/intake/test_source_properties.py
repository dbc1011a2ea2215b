"""Whatever a source's settings and whatever it sends: a fact or a reject, the same from a message and from a row."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from traderecon.intake import DateForm, EpochUnit, Form, Rows, SideView, SourceSettings, decode, message_of
from traderecon.intake.date_forms import AMBIGUOUS_PAIRS
from traderecon.records import Confirmation, Execution, Fact, Kind, Origin, Rejected, Source
from traderecon.records.currencies import MINOR_UNITS
from traderecon.records.directions import opposite
from traderecon.records.journal import decode_fact, encode_journal

ORIGIN = Origin("t", 0, 0)

unambiguous = st.lists(st.sampled_from(DateForm), unique=True, max_size=3).filter(
    lambda forms: not any(pair <= set(forms) for pair in AMBIGUOUS_PAIRS)
)
settings = st.builds(
    SourceSettings,
    form=st.builds(
        Form,
        naive_zone=st.sampled_from(("UTC", "America/New_York")),
        epoch_unit=st.none() | st.sampled_from(EpochUnit),
        granularity=st.none() | st.integers(0, 9),
    ),
    date_forms=unambiguous.map(tuple),
    required=st.sampled_from(((), ("account",), ("side", "currency"))),
    optional=st.sampled_from(((), ("price",), ("timestamp", "ticker"), ("quantity",))),
    kind_field=st.sampled_from(("kind", "exec_type")),
    kinds=st.sampled_from(({}, {"F": Kind.NEW, "G": Kind.AMEND, "H": Kind.CANCEL})),
    reference_field=st.none() | st.just("exec_ref_id"),
    side=st.sampled_from(SideView),
    signed=st.booleans(),
    minor_units=st.sampled_from(({}, MINOR_UNITS)),
    fold_case=st.booleans(),
    aliases=st.sampled_from(({}, {"BRK/B": "BRK.B"})),
)
"""What a source of executions or confirmations may have in force."""

WORDS = {
    "trade_id": ("T1", " T1", "E2", "N/A", "", "x" * 600),
    "ticker": ("AAPL", "aapl", "BRK/B", " brk/b ", "", "\uff21"),
    "quantity": ("100", "-100", "0", "-0", "1E2", "1e400", "many", ""),
    "price": ("190.50", "19050", "-1", "0.000000000000000001", "NaN", "12,5", ""),
    "timestamp": (
        *("2025-07-26T10:01:23Z", "2025-07-26T10:01:23.120000", "20250726-10:01:23.000", "1753524083.001", ""),
        *(
            "26/07/2025 10:01:23",
            "7/26/2025 9:30:00 PM",
            "26-Jul-2025 10:01:23.5Z",
            "2025-11-02T01:30:00",
            "31.02.2025",
        ),
    ),
    "side": ("BUY", "2", "sell short", "CROSS", "", " B "),
    "currency": ("USD", "GBX", "GBp", "gbp", ""),
    "account": ("A", ""),
    "commission": ("0.5", "50", "", "x"),
    "kind": ("new", "CANCEL", "amend", "H", "F", ""),
    "version": ("1", "2", ""),
    "trade_date": ("2025-07-26", "26/07/2025", "20250726", ""),
    "exec_type": ("F", "G", "H", "0", "cancel", ""),
    "exec_ref_id": ("T1", "E2", "NULL", ""),
    "note": ("x", ""),
}
TERMS = ("trade_id", "ticker", "quantity", "price", "timestamp")
records = st.fixed_dictionaries(
    {name: st.just(WORDS[name][0]) | st.sampled_from(WORDS[name]) for name in TERMS},
    optional={name: st.sampled_from(words) for name, words in WORDS.items() if name not in TERMS},
)
sides = st.sampled_from((Source.EXECUTIONS, Source.CONFIRMATIONS))


def line_of(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


@given(sides, records, settings)
def test_a_record_is_a_fact_or_a_reject_alike_in_a_message_and_a_row(
    source: Source, record: dict[str, str], chosen: SourceSettings
) -> None:
    columns = [*dict.fromkeys((*chosen.columns(source), *record))]
    rows = Rows(source, ",".join(columns), chosen)
    line = line_of([record.get(name, "") for name in columns])
    of_row = rows.decode(line, ORIGIN)
    of_line = decode(source, message_of(rows.columns, line, rows.unknown), ORIGIN, chosen)
    of_message = decode(source, json.dumps(record).encode(), ORIGIN, chosen)
    for decoded in (of_row, of_line, of_message):
        assert isinstance(decoded, Fact | Rejected)
        assert isinstance(of_row, Fact) == isinstance(decoded, Fact)
        if isinstance(decoded, Rejected):
            assert isinstance(of_row, Rejected)
            assert decoded.code is of_row.code
            assert decoded.text.isprintable()
        else:
            assert isinstance(of_row, Fact)
            assert decoded.leg == of_row.leg
            assert decode_fact(encode_journal(decoded)).leg == decoded.leg
    if isinstance(of_row, Fact):
        assert rows.key(line) == of_row.leg.trade_id


@given(sides, records, settings)
def test_what_is_compared_is_in_the_terms_of_the_product(
    source: Source, record: dict[str, str], chosen: SourceSettings
) -> None:
    decoded = decode(source, json.dumps(record).encode(), ORIGIN, chosen)
    if not isinstance(decoded, Fact):
        return
    leg = decoded.leg
    assert isinstance(leg, Execution | Confirmation)
    assert leg.currency not in chosen.minor_units
    assert leg.ticker not in chosen.aliases
    assert leg.quantity is None or leg.quantity > 0 or leg.kind is Kind.CANCEL
    if chosen.fold_case and leg.ticker is not None and leg.ticker.isascii():
        assert leg.ticker == leg.ticker.upper()
    if leg.kind is not Kind.CANCEL:
        assert all(getattr(leg, name) is not None for name in chosen.required)


@given(sides, records)
def test_a_source_that_mirrors_states_the_opposite(source: Source, record: dict[str, str]) -> None:
    same, turned = (
        decode(source, json.dumps(record).encode(), ORIGIN, SourceSettings(side=side, signed=True)) for side in SideView
    )
    if isinstance(same, Fact) and isinstance(turned, Fact):
        assert isinstance(same.leg, Execution | Confirmation)
        assert isinstance(turned.leg, Execution | Confirmation)
        assert turned.leg.side == (same.leg.side and opposite(same.leg.side))
    else:
        assert isinstance(turned, Rejected)
        assert isinstance(same, Rejected) or record["side"] == "CROSS"
