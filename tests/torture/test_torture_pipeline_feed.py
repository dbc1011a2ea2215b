"""What the pipeline is fed: every kind of trouble is in it, and the second reader of the inputs agrees with intake."""

from torture.pipeline_feed import simulated
from torture.pipeline_input import CONFIRMATIONS, EXECUTIONS, PNL, row_of
from traderecon.intake.messages import decode
from traderecon.records import Fact, Origin, Source

FEED = simulated(3, 3_000)


def test_the_same_seed_feeds_the_same() -> None:
    assert simulated(3, 3_000) == FEED
    assert simulated(4, 3_000).records != FEED.records
    assert len(FEED.records) == 3_000


def test_both_readers_say_which_records_are_legs() -> None:
    for record in (*FEED.records, *FEED.epilogue):
        read = decode(Source(record.topic), record.value, Origin(record.topic, 0, 0))
        assert isinstance(read, Fact) == (row_of(record.topic, record.value) is not None), record


def test_legs_of_all_sources_come_malformed_without_keys_again_and_under_other_keys() -> None:
    for role in (EXECUTIONS, CONFIRMATIONS, PNL):
        records = [record for record in FEED.records if record.topic == role]
        rows = {record: row for record in records if (row := row_of(role, record.value))}
        assert len(rows) < len(records)
        assert any(record.key is None for record in rows)
        assert any(record.key not in {None, row["trade_id"].encode()} for record, row in rows.items())
        assert len({record.partition for record in records}) > 1


def test_the_epilogue_amends_and_repeats() -> None:
    rows = [row for record in FEED.epilogue if (row := row_of(record.topic, record.value))]
    amends = [row for row in rows if row.get("kind") == "amend"]
    known = {row["trade_id"] for record in FEED.records if (row := row_of(record.topic, record.value))}
    assert {row["trade_id"] for row in amends} <= known
    assert len(amends) >= 80
    assert set(FEED.epilogue) & set(FEED.records)
