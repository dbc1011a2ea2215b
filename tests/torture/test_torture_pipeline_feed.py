"""The pipeline's feed: it has every kind of bad record, and the oracle's decoder agrees with intake's."""

from torture.pipeline_feed import simulated_feed
from torture.pipeline_input import CONFIRMATIONS, EXECUTIONS, PNL, row_of
from traderecon.intake.messages import decode
from traderecon.records import Fact, Origin, Source

FEED = simulated_feed(3, 3_000)


def test_a_seed_always_gives_the_same_feed() -> None:
    assert simulated_feed(3, 3_000) == FEED
    assert simulated_feed(4, 3_000).records != FEED.records
    assert len(FEED.records) == 3_000


def test_the_oracle_and_intake_agree_on_which_records_are_legs() -> None:
    for record in (*FEED.records, *FEED.epilogue):
        decoded = decode(Source(record.topic), record.value, Origin(record.topic, 0, 0))
        assert isinstance(decoded, Fact) == (row_of(record.topic, record.value) is not None), record


def test_every_source_has_malformed_keyless_and_wrongly_keyed_records() -> None:
    for role in (EXECUTIONS, CONFIRMATIONS, PNL):
        records = [record for record in FEED.records if record.topic == role]
        rows = {record: row for record in records if (row := row_of(role, record.value))}
        assert len(rows) < len(records)
        assert any(record.key is None for record in rows)
        assert any(record.key not in {None, row["trade_id"].encode()} for record, row in rows.items())
        assert len({record.partition for record in records}) > 1


def test_the_epilogue_has_amends_and_repeats() -> None:
    rows = [row for record in FEED.epilogue if (row := row_of(record.topic, record.value))]
    amends = [row for row in rows if row.get("kind") == "amend"]
    known = {row["trade_id"] for record in FEED.records if (row := row_of(record.topic, record.value))}
    assert {row["trade_id"] for row in amends} <= known
    assert len(amends) >= 80
    assert set(FEED.epilogue) & set(FEED.records)
