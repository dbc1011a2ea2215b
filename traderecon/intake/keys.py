"""Keys: a record's key in its topic, which should be its trade_id.

    key T9, trade_id T1   ->   the fact of T1, with sent_key T9 beside it

The payload decides. The key is text as it is, or a JSON string as some serialisers write it. Source: DOMAIN.md E15.
"""

import msgspec

from traderecon.intake.blanks import trim
from traderecon.records import Fact
from traderecon.records.facts import SENT_KEY

_SHOWN = 128
_SENT_ID = "sent_trade_id"


def with_other_key(fact: Fact, key: bytes | None) -> Fact:
    """The fact with the key beside it if that names another trade; unchanged for a record without a key.

    A correction that refers to its trade may have its own id as key.
    """
    if not key:
        return fact
    sent = trim(key.decode(errors="replace"))
    if len(sent) > 2 and sent[0] == sent[-1] == '"':
        sent = trim(sent[1:-1])
    extra = fact.extra or {}
    own = extra.get(_SENT_ID)
    if not sent or sent == fact.leg.trade_id or (isinstance(own, str) and sent == trim(own)):
        return fact
    return msgspec.structs.replace(fact, extra={**extra, SENT_KEY: sent[:_SHOWN]})
