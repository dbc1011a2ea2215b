"""The feed: the same bytes for the same arguments, the order of the rows, and bounded memory."""

import hashlib
import re
import tracemalloc
from collections import deque
from itertools import islice, pairwise

import pytest

from traderecon.records import Source
from traderecon.simulator import PROFILES, SLOT_MS, Message, Planted, Profile, Terms, feed, trade_of
from traderecon.simulator.rows import row_of

CLEAN, TYPICAL, HOSTILE = PROFILES.values()

TERMS_ROW = re.compile(
    r"S7-\d{8},[A-Z]+(\.B)?,[1-9]\d*,[1-9]\d*\.\d{2,3},2025-07-25T1[3-9]:[0-5]\d:[0-5]\d\.\d{3}Z", re.ASCII
)
PNL_ROW = re.compile(r"S7-\d{8},-?\d+\.\d{2,3},\d+\.\d{2}", re.ASCII)


def index_of(message: Message) -> int:
    return int(message.row[3:11])


def rows(seed: int, index: int, profile: Profile) -> list[str]:
    trade = trade_of(seed, index, profile)
    return [row_of(trade.trade_id, statement, profile) for statement in trade.statements]


def test_rows_never_change() -> None:
    assert rows(7, 3, TYPICAL) == [
        "S7-00000003,NVDA,1500,176.88,2025-07-25T13:30:00.060Z",
        "S7-00000003,NVDA,1500,176.88,2025-07-25T13:30:00.130Z",
        "S7-00000003,265312.31,7.69",
    ]
    assert rows(7, 50, HOSTILE) == [
        "S7-00000050,F,1590,11.50,2025-07-25T13:30:01.000Z,1,new",
        "S7-00000050,F,1590,11.50,2025-07-25T13:30:00.997Z,1,new",
        "S7-00000050,F,1690,11.50,2025-07-25T13:30:01.000Z,1,new",
    ]
    assert trade_of(7, 50, HOSTILE).planted == (Planted.DRIFT_TOLERATED, Planted.MISSING_PNL, Planted.CONFLICT)


@pytest.mark.parametrize(
    ("profile", "sha256"),
    [
        (CLEAN, "5793d62a9819ec18d289bbc4d26fe12e641f88c67abcc2c12b55ebdaa4e12e36"),
        (TYPICAL, "a81b3406d9da324d8e6cb0bd607fd70e666a66696f2d6bfff1d54f014ddd6f19"),
        (HOSTILE, "5a92dc3afaa78458e1a15b6e0501d845fa860f66da39bc9c633dee04334cef60"),
    ],
    ids=PROFILES.keys(),
)
def test_bytes_never_change(profile: Profile, sha256: str) -> None:
    lines = (f"{message.position} {message.source} {message.row}\n" for message in feed(7, 2000, profile))
    assert hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest() == sha256


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_trade_does_not_depend_on_how_many_there_are(profile: Profile) -> None:
    few = sorted((message.position, message.source, message.row) for message in feed(7, 300, profile))
    many = {(message.position, message.source, message.row) for message in feed(7, 2000, profile)}
    assert many.issuperset(few)
    assert many.issuperset(
        (index + statement.delay_slots, statement.source, row_of(trade.trade_id, statement, profile))
        for index in (1999, 3, 700)
        for trade in [trade_of(7, index, profile)]
        for statement in trade.statements
    )


def test_a_shorter_day_has_the_same_rows_in_the_same_order() -> None:
    few = list(feed(7, 500, TYPICAL))
    assert [message for message in feed(7, 2000, TYPICAL) if index_of(message) < 500] == few


def test_another_seed_is_another_day() -> None:
    assert not {message.row[12:] for message in feed(7, 200, CLEAN)} & {
        message.row[12:] for message in feed(8, 200, CLEAN)
    }


def test_a_clean_day_is_sent_in_order() -> None:
    day = list(feed(7, 500, CLEAN))
    assert [(index_of(message), message.source) for message in day] == [
        (index, source) for index in range(500) for source in (Source.EXECUTIONS, Source.CONFIRMATIONS, Source.PNL)
    ]
    assert all(message.position == index_of(message) for message in day)


def test_a_typical_day_is_out_of_order_within_bounds() -> None:
    day = list(feed(7, 3000, TYPICAL))
    assert all(earlier.position <= later.position for earlier, later in pairwise(day))
    first: dict[tuple[Source, int], int] = {}
    for message in day:
        first.setdefault((message.source, index_of(message)), message.position)
    delays = {
        source: [position - index for (of, index), position in first.items() if of is source] for source in Source
    }
    bounds = {Source.EXECUTIONS: 0, Source.CONFIRMATIONS: TYPICAL.delay_slots, Source.PNL: 2 * TYPICAL.delay_slots}
    for source, bound in bounds.items():
        assert min(delays[source]) >= 0
        assert bound * 9 // 10 <= max(delays[source]) <= bound
    repeated = len(day) - len(first)
    assert 0 < repeated < 3000 * 5 // 100
    assert len({(message.source, message.row) for message in day}) == len(first), "a repetition is word for word"
    confirmed = [index for (source, index) in first if source is Source.CONFIRMATIONS]
    assert confirmed != sorted(confirmed)


@pytest.mark.parametrize("profile", [CLEAN, TYPICAL])
def test_rows_have_one_fixed_form(profile: Profile) -> None:
    for message in feed(7, 3000, profile):
        form = PNL_ROW if message.source is Source.PNL else TERMS_ROW
        assert form.fullmatch(message.row)


def test_half_of_the_trades_have_a_pnl_row() -> None:
    sources = [{statement.source for statement in trade_of(7, index, TYPICAL).statements} for index in range(4000)]
    assert 1900 < sum(Source.PNL in found for found in sources) < 2100


def test_timestamps_continue_over_midnight() -> None:
    day = 86_400_000 // SLOT_MS
    today, tomorrow = (trade_of(7, index, CLEAN).statements[0].content for index in (0, day))
    assert isinstance(today, Terms)
    assert isinstance(tomorrow, Terms)
    assert tomorrow.at_ms - today.at_ms == 86_400_000
    assert rows(7, 0, CLEAN)[0].endswith(",2025-07-25T13:30:00.000Z")
    assert rows(7, day + 1, CLEAN)[0].endswith(",2025-07-26T13:30:00.020Z")


def test_the_first_rows_of_an_endless_day_come_at_once() -> None:
    assert len(list(islice(feed(7, 10**15, TYPICAL), 100))) == 100


def test_memory_does_not_grow_with_the_trades() -> None:
    peaks = []
    for trades in (2_000, 2_000, 8_000):  # the first fills caches
        tracemalloc.start()
        deque(feed(7, trades, TYPICAL), maxlen=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] * 5 // 4
