"""A skip names the offsets, who decided and why, in one order per partition."""

import msgspec

from traderecon.records.action import Skip, encode_action


def test_a_skip_is_one_record_under_its_partition() -> None:
    skip = Skip("a1", "executions", 3, 10, 13, "traderecon-intake", "ann", "2026-11-23T07:00:00Z", "a day was kept")
    assert skip.key == b"executions/3"
    message = msgspec.json.decode(encode_action(skip))
    assert (message["first"], message["following"], message["about"], message["format"]) == (10, 13, "offsets", 1)
