"""Points in time: UTC nanoseconds since 1970 inside, ISO 8601 outside."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S

FOREVER_NS = 2**63 - 1
"""A watermark after the end of every grace: the end of a batch run."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_FIRST_NS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1) * NS_PER_S
_LAST_NS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1) * NS_PER_S + NS_PER_S - 1


def received_ns(timestamp_ms: int) -> int:
    """When a log received a record, from the record's timestamp: from 0, which means unknown, to ``FOREVER_NS``.

    A producer may give any 64-bit number; a negative one means unknown, like Kafka's own -1.

    >>> received_ns(1_753_524_083_000), received_ns(-1), received_ns(2**63 - 1) == FOREVER_NS
    (1753524083000000000, 0, True)
    """
    return min(max(0, timestamp_ms * NS_PER_MS), FOREVER_NS)


@lru_cache(maxsize=65_536)
def _second(epoch_s: int) -> str:
    return (_EPOCH + timedelta(seconds=epoch_s)).isoformat()[:19]  # strftime writes the year 1 with one digit


@lru_cache(maxsize=16_384)  # a result has each of its times in several places
def iso(instant_ns: int) -> str:
    """ISO 8601 in UTC, with 0, 3, 6 or 9 fraction digits: as many as the instant needs.

    Defined for any number: before the year 1 it gives its beginning, after the year 9999 its end.

    >>> iso(1_753_524_083_000_000_000), iso(1_753_524_083_100_000_001)
    ('2025-07-26T10:01:23Z', '2025-07-26T10:01:23.100000001Z')
    """
    epoch_s, fraction_ns = divmod(min(max(_FIRST_NS, instant_ns), _LAST_NS), NS_PER_S)
    if not fraction_ns:
        return f"{_second(epoch_s)}Z"
    digits = str(NS_PER_S + fraction_ns)[1:]
    if digits.endswith("000"):
        digits = digits[:3] if digits.endswith("000000") else digits[:6]
    return f"{_second(epoch_s)}.{digits}Z"


def hours_after(text: str, hours: int) -> str:
    """An instant of ISO 8601, as ``iso`` writes it, a number of hours later; at most the end of the year 9999.

    ValueError: it is no instant.

    >>> hours_after("2025-07-26T10:01:23.5Z", 24)
    '2025-07-27T10:01:23.5Z'
    """
    start = datetime.fromisoformat(f"{text[:19]}+00:00")
    later = start + timedelta(hours=min(hours, (_LAST - start) // timedelta(hours=1)))
    return later.isoformat()[:19] + text[19:]


@lru_cache(maxsize=4_096)
def milliseconds(duration_ns: int) -> str:
    """A duration as decimal milliseconds.

    >>> milliseconds(100_000_001), milliseconds(90_000_000)
    ('100.000001', '90')
    """
    whole, rest_ns = divmod(duration_ns, NS_PER_MS)
    return f"{whole}.{rest_ns:06d}".rstrip("0") if rest_ns else str(whole)
