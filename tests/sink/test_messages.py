"""What the sink reads of a result, whatever the result is about."""

from decimal import Decimal

from hypothesis import given
from strategies import Sent, facts_of, trades

from traderecon.matching import decided, result, verdict
from traderecon.records.instants import FOREVER_NS
from traderecon.records.wire import result_json
from traderecon.rules import FOUNDING
from traderecon.sink.messages import read


@given(trades(snapshots=False))
def test_whatever_was_sent_has_a_size(sent: list[Sent]) -> None:
    facts = facts_of(sent)
    published = result_json(result(decided(facts, verdict(facts, FOREVER_NS, FOUNDING)), FOUNDING.stamp()))
    notional = read(published.decode()).size.notional
    assert notional is None or Decimal(notional).is_finite()
