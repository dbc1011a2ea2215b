"""The row of the rules that last judged a partition."""

import asyncio
from pathlib import Path

import msgspec
from tables_case import batch, opened

from traderecon.tables import rules as rows

ROW = rows.RulesRow("x", "a" * 64, {"grace_ns": 5}, recorded=True)


def test_a_row_of_an_earlier_version_names_the_same_rules_without_a_record_of_them(tmp_path: Path) -> None:
    async def read() -> rows.RulesRow | None:
        async with opened(tmp_path) as table:
            write_batch = table.write_batch(batch(0))
            assert rows.get(write_batch) is None
            write_batch.put(
                rows.KEY, msgspec.json.encode({"name": "x", "sha256": "a" * 64, "content": {"grace_ns": 5}})
            )
            earlier = rows.get(write_batch)
            rows.put(write_batch, ROW)
            assert rows.get(write_batch) == ROW
            return earlier

    earlier = asyncio.run(read())
    assert earlier is not None
    assert earlier != ROW
    assert not earlier.differs(ROW)


def test_other_rules_differ() -> None:
    for other in (
        msgspec.structs.replace(ROW, name="y"),
        msgspec.structs.replace(ROW, sha256="b" * 64),
        msgspec.structs.replace(ROW, content={"grace_ns": 6}),
    ):
        assert ROW.differs(other)
