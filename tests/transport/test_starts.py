"""Where a partition begins: the lower of what is committed and what a table knows, or a sentence."""

import pytest
from faust.types import TP

from traderecon.transport.starts import Known, Start, start

LEGS = TP("legs", 2)


@pytest.mark.parametrize(
    ("known", "begun"),
    [
        (Known(0, 600), Start(0)),
        (Known(0, 600, committed=512), Start(512)),
        (Known(0, 600, given=100, committed=None), Start(100)),
        (Known(0, 600, committed=512, applied=511), Start(512)),
        (Known(0, 600, committed=512, applied=540), Start(512)),
        (Known(0, 600, committed=512, applied=299), Start(300, behind=True)),
        (Known(0, 600, committed=512, applied=-1), Start(0, behind=True)),
        (Known(0, 600, committed=0, applied=-1), Start(0)),
        (Known(0, 0, applied=-1), Start(0)),
        (Known(0, 600, applied=299), Start(0)),
        (Known(300, 600, committed=512, applied=299), Start(300, behind=True)),
        (Known(0, 600, given=512, applied=-1), Start(512)),
    ],
)
def test_s13_where_nothing_is_lost(known: Known, begun: Start) -> None:
    assert start(LEGS, known) == begun


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (Known(0, 600, committed=601), "legs[2]: offset 601 is next, the log has 0 to 600. The topic was truncated"),
        (Known(0, 600, committed=5, applied=600), "offset 601 is next"),
        (Known(300, 600, committed=299), "1 records were lost to retention"),
        (Known(300, 600, given=299), "`traderecon topics skip --topic legs --partition 2 --to 300"),
        (Known(300, 600, committed=299, applied=298), "offset 299 is next, the log has 300 to 600. 1 records"),
        (Known(300, 600, applied=298), "offset 299 is next"),
        (Known(300, 600, committed=512, applied=298), "a table knows 299 offsets, the group has committed 512"),
        (Known(300, 600, committed=512, applied=-1), "run `traderecon state rebuild`"),
        (Known(300, 600, committed=200, applied=-1), "a table knows 0 offsets, the group has committed 200"),
        (Known(300, 600, applied=-1), "a table knows 0 offsets, the group has no commit, and the log has 300 to 600"),
    ],
)
def test_s13_what_the_log_does_not_have_is_refused(known: Known, words: str) -> None:
    said = start(LEGS, known)
    assert isinstance(said, str)
    assert words in said
