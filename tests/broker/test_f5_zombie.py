"""F5: a worker that was stopped past its session and wakes up writes old state over new. Here it can only add facts.

    A: leg 0, leg 1, leg 2 ......... stopped ......... goes on with leg 2 and with the state it knew
    B:                     legs 2, 3, 4 of the same trade

Plain Faust keeps a trade as one row, as a tutorial would; ours has one row per leg.
"""

import asyncio
from pathlib import Path
from typing import Any

import faust
import msgspec
import pytest
from broker.case import Case, our_app, stock_app
from broker.stage import Stage
from faust.types import StreamT

from traderecon.tables import BatchTable
from traderecon.transport import MicroBatch, Outgoing
from traderecon.transport.app import StreamApp

TRADE = b"T"
LEGS = [b"leg 0", b"leg 1", b"leg 2", b"leg 3", b"leg 4"]
KNOWN, HELD, LATER = LEGS[:2], LEGS[2], LEGS[3:]
LAST = b"leg 5"
SLEEPER = "A"


def door(directory: Path, leg: bytes) -> Path:
    """While this file is missing, the sleeper does not get past a leg."""
    return directory / leg.decode()


async def arrive(leg: bytes, case: Case) -> None:
    """Slow work before a leg is stored, on one of the workers."""
    while case.mark == SLEEPER and leg not in KNOWN and not door(case.directory, leg).exists():
        await asyncio.sleep(0.02)


def stock(case: Case) -> faust.App:
    app = stock_app(case)
    trades: Any = app.Table("trades", key_type=bytes, default=list)

    @app.agent(app.topic(case.topic("in"), key_serializer="raw", value_serializer="raw"))
    async def gather(stream: Any) -> None:
        async for trade, leg in stream.items():
            await arrive(leg, case)
            legs = trades[trade]
            if leg.decode() not in legs:
                trades[trade] = [*legs, leg.decode()]

    return app


def ours(case: Case) -> StreamApp:
    app = our_app(case, batch_records=1)
    trades = BatchTable(app, name="trades", partitions=1)
    app.tables.add(trades)

    @app.agent(app.topic(case.topic("in")))
    async def gather(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            for record in batch:
                await arrive(record.value or b"", case)
            write_batch = trades.write_batch(batch)
            for record in batch:
                write_batch.put((record.key or b"") + b"/" + (record.value or b""), b"")
            legs = sum(1 for _ in write_batch.scan(TRADE + b"/"))
            await app.append(case.topic("legs"), 0, [Outgoing(TRADE, b"%d" % legs)])
            await write_batch.write()

    return app


def prepare(stage: Stage) -> None:
    stage.create("in")
    stage.create("trades-changelog", config={"cleanup.policy": "compact"})


def recovered(stage: Stage) -> dict[bytes, bytes]:
    """The rows that a worker with an empty disk would find."""
    return {key: value or b"" for _, _, key, value in stage.kafka.records(stage.topic("trades-changelog")) if key}


def stock_legs(stage: Stage) -> list[bytes]:
    return [leg.encode() for leg in msgspec.json.decode(recovered(stage).get(TRADE, b"[]"), type=list[str])]


def our_legs(stage: Stage) -> list[bytes]:
    return sorted(key.removeprefix(b"T/") for key in recovered(stage) if key.startswith(b"T/"))


@pytest.mark.nightly
def test_f5_stock_writes_old_state_over_new(stage: Stage) -> None:
    prepare(stage)
    sleeper = stage.start_ready("stock", mark=SLEEPER, disk="disk of A")
    stage.append("in", [(TRADE, leg) for leg in (*KNOWN, HELD)])
    stage.until(lambda: stock_legs(stage) == KNOWN, "A has stored two legs")
    stage.until(lambda: stage.committed("in") == len(KNOWN), "A has committed them")
    sleeper.pause()
    stage.start_ready("stock", disk="disk of B")  # what A holds it may pass over; what comes now it does not
    stage.append("in", [(TRADE, leg) for leg in LATER])
    stage.until(lambda: stock_legs(stage)[-len(LATER) :] == LATER, "B has taken over, and stored the later legs")
    door(sleeper.case.directory, HELD).touch()
    sleeper.resume()
    stage.until(lambda: stock_legs(stage) == [*KNOWN, HELD], "A has stored what it knew, over what B had stored")


@pytest.mark.matrix("Z1")
def test_f5_ours_repeats_only_existing_rows(stage: Stage) -> None:
    prepare(stage)
    stage.create("legs")
    stage.append("in", [(TRADE, leg) for leg in (*KNOWN, HELD)])
    sleeper = stage.start("ours", mark=SLEEPER, disk="disk of A")
    stage.until(lambda: our_legs(stage) == KNOWN, "A has stored two legs")
    stage.until(lambda: stage.committed("in") == len(KNOWN), "A has committed them")
    sleeper.pause()
    stage.append("in", [(TRADE, leg) for leg in LATER])
    heir = stage.start("ours", disk="disk of B")
    stage.until(lambda: our_legs(stage) == LEGS, "B has taken over, and stored all legs")
    changelog = stage.topic("trades-changelog")
    before = stage.kafka.end(changelog)
    door(sleeper.case.directory, HELD).touch()
    sleeper.resume()
    stage.until(lambda: stage.kafka.end(changelog) > before, "A has stored its leg again")
    assert our_legs(stage) == LEGS
    for leg in [*LEGS, LAST]:
        door(sleeper.case.directory, leg).touch()
    heir.kill()
    stage.append("in", [(TRADE, LAST)])
    stage.until(lambda: stage.values("legs")[-1] == b"6", "A has on its own disk what B had stored", sleeper)
