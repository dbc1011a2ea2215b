"""Keys: a record's key in its topic, which should be its trade_id.

    key T9, trade_id T1   ->   the fact of T1, with sent_key T9 in its origin

The payload decides. The key is text as it is, or a JSON string as some serialisers write it. Source: DOMAIN.md E15.
"""

import msgspec

from traderecon.intake.blanks import trim
from traderecon.records import Fact

_SHOWN = 128
_SENT_ID = "sent_trade_id"


def with_other_key(fact: Fact, key: bytes | None) -> Fact:
    """The fact with the key in its origin if that names another trade; unchanged for a record without a key.

    A correction that refers to its trade may have its own id as key.
    """
    if not key:
        return fact
    sent = trim(key.decode(errors="replace"))
    if len(sent) > 2 and sent[0] == sent[-1] == '"':
        sent = trim(sent[1:-1])
    own, leg = (fact.extra or {}).get(_SENT_ID), fact.leg
    if not sent or sent in {leg.trade_id, leg.member_id, leg.sent_id} or (isinstance(own, str) and sent == trim(own)):
        return fact
    origin = msgspec.structs.replace(fact.origin, sent_key=sent[:_SHOWN])
    return msgspec.structs.replace(fact, origin=origin)
