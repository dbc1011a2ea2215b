"""The start offset of a partition: the lower of the commit and what a table has, or an error text."""

import pytest
from faust.types import TP

from traderecon.transport.starts import Start, StartState, start

LEGS = TP("legs", 2)


@pytest.mark.matrix("S13")
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (StartState(0, 600), Start(0)),
        (StartState(0, 600, committed=512), Start(512)),
        (StartState(0, 600, external=100, committed=None), Start(100)),
        (StartState(0, 600, committed=512, applied=511), Start(512)),
        (StartState(0, 600, committed=512, applied=540), Start(512)),
        (StartState(0, 600, committed=512, applied=299), Start(300, behind=True)),
        (StartState(0, 600, committed=512, applied=-1), Start(0, behind=True)),
        (StartState(0, 600, committed=0, applied=-1), Start(0)),
        (StartState(0, 0, applied=-1), Start(0)),
        (StartState(0, 600, applied=299), Start(0)),
        (StartState(300, 600, committed=512, applied=299), Start(300, behind=True)),
        (StartState(0, 600, external=512, applied=-1), Start(512)),
    ],
)
def test_where_nothing_is_lost(state: StartState, expected: Start) -> None:
    assert start(LEGS, state) == expected


@pytest.mark.matrix("S13")
@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            StartState(0, 600, committed=601),
            "legs[2]: offset 601 is next, the log has 0 to 600. The topic was truncated",
        ),
        (StartState(0, 600, committed=5, applied=600), "offset 601 is next"),
        (StartState(300, 600, committed=299), "1 records were lost to retention"),
        (StartState(300, 600, external=299), "`traderecon topics skip --topic legs --partition 2 --to 300"),
        (StartState(300, 600, committed=299, applied=298), "offset 299 is next, the log has 300 to 600. 1 records"),
        (StartState(300, 600, applied=298), "offset 299 is next"),
        (StartState(300, 600, committed=512, applied=298), "a table ends at offset 299, the group has committed 512"),
        (StartState(300, 600, committed=512, applied=-1), "run `traderecon state rebuild`"),
        (StartState(300, 600, committed=200, applied=-1), "a table ends at offset 0, the group has committed 200"),
        (
            StartState(300, 600, applied=-1),
            "a table ends at offset 0, the group has no commit, and the log has 300 to 600",
        ),
    ],
)
def test_offsets_missing_in_the_log_are_rejected(state: StartState, text: str) -> None:
    reason = start(LEGS, state)
    assert isinstance(reason, str)
    assert text in reason
