"""Which journal partition a stored result belongs to."""

from legs import arrived, ours, theirs

from traderecon.matching import result_of
from traderecon.matching.lifecycle import judge_trade
from traderecon.records import Leg
from traderecon.records.instants import FOREVER_NS
from traderecon.records.result_message import encode_result
from traderecon.rules import FOUNDING
from traderecon.worker.state import journal_key


def stored(*legs: Leg) -> str:
    judgement = judge_trade(arrived(*legs), FOREVER_NS, FOUNDING)
    return encode_result(result_of(judgement, FOUNDING.stamp())).decode()


def test_the_journal_has_a_trade_under_the_trade_id_that_was_sent() -> None:
    key = {"trade_id": "T\\|1|broker=CITI", "sent_id": "T|1"}
    assert journal_key("T\\|1|broker=CITI", stored(ours(**key), theirs(**key))) == b"T|1"
    assert journal_key("T1", stored(ours(), theirs())) == b"T1"
    assert journal_key("T|1", stored(ours(trade_id="T|1"))) == b"T|1"
