"""The ids that records were sent with, where a trade has another: as a member of a group, or with a match key.

    result (JSON)  ->  decode_sent_ids            ["F1", "F2"]
                       resolved_by_further_member   whether the last record to arrive is the first of its member

Of results of the format ``IN_GROUP`` or later: in an earlier one the names may be a producer's unknown fields.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from traderecon.records.sources import Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Payload(msgspec.Struct, gc=False):
    member_id: str | None = None
    sent_id: str | None = None


class _Leg(msgspec.Struct, gc=False):
    payload: _Payload
    received_at: datetime | None = None


class _Group(msgspec.Struct, gc=False):
    legs: dict[Source, list[_Leg]]


_decode = msgspec.json.Decoder(_Group).decode


def decode_sent_ids(value: bytes | str) -> list[str]:
    """The trade_ids that the records were sent with, sorted. MsgspecError: it is not such a result."""
    payloads = [leg.payload for source in _decode(value).legs.values() for leg in source]
    sent = {it.member_id if it.sent_id is None else it.sent_id for it in payloads}
    return sorted(sent_id for sent_id in sent if sent_id is not None)


def resolved_by_further_member(value: bytes | str) -> bool:
    """``further_member_came_last`` of a result. MsgspecError: it is not one of a group."""
    return further_member_came_last(
        (source, leg.payload.member_id, leg.received_at or _EPOCH)
        for source, legs in _decode(value).legs.items()
        for leg in legs
    )


def further_member_came_last(legs: Iterable[tuple[Source, str | None, Any]]) -> bool:
    """Whether the leg that arrived last is the first of its member: it adds a record, and corrects none.

    ``legs``: at least one, each as its source, its member and when it was received. False outside of a group.

    >>> fills = [(Source.EXECUTIONS, "F1", 1), (Source.EXECUTIONS, "F2", 2)]
    >>> further_member_came_last(fills), further_member_came_last([*fills, (Source.EXECUTIONS, "F1", 3)])
    (True, False)
    """
    legs = [*legs]
    last = max([received_at for _, _, received_at in legs])
    count = Counter([(source, member_id) for source, member_id, _ in legs])
    return any(
        received_at == last and member_id is not None and count[source, member_id] == 1
        for source, member_id, received_at in legs
    )
