"""Points in time: UTC nanoseconds since 1970 inside, ISO 8601 outside."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S

FOREVER_NS = 2**63 - 1
"""A watermark that every grace has passed: the end of a batch."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=65_536)
def _second(epoch_s: int) -> str:
    return (_EPOCH + timedelta(seconds=epoch_s)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=16_384)  # a result says each of its times several times
def iso(instant_ns: int) -> str:
    """ISO 8601 in UTC, with 0, 3, 6 or 9 fraction digits: as many as the instant needs.

    >>> iso(1_753_524_083_000_000_000), iso(1_753_524_083_100_000_001)
    ('2025-07-26T10:01:23Z', '2025-07-26T10:01:23.100000001Z')
    """
    epoch_s, fraction_ns = divmod(instant_ns, NS_PER_S)
    if not fraction_ns:
        return f"{_second(epoch_s)}Z"
    digits = str(NS_PER_S + fraction_ns)[1:]
    if digits.endswith("000"):
        digits = digits[:3] if digits.endswith("000000") else digits[:6]
    return f"{_second(epoch_s)}.{digits}Z"


@lru_cache(maxsize=4_096)
def milliseconds(duration_ns: int) -> str:
    """A duration as decimal milliseconds.

    >>> milliseconds(100_000_001), milliseconds(90_000_000)
    ('100.000001', '90')
    """
    whole, rest_ns = divmod(duration_ns, NS_PER_MS)
    return f"{whole}.{rest_ns:06d}".rstrip("0") if rest_ns else str(whole)
