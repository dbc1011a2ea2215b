"""A hash chain: each row's hash covers the hash before it, so that no row can be changed, left out or moved unnoticed.

    link = sha256("<previous link> <topic> <partition> <offset> <sha256 of the content>")    the first follows 64 zeros

One chain per topic and partition, over the rows written from it, in offset order. The content is the bytes of a result
or action as on the topic, or a dead letter's ``content``. The insert time is not covered, so a rebuilt database has the
same chains.
"""

from traderecon.records.digest import sha256
from traderecon.topics import Topics

START = "0" * 64
"""What the first link follows."""


def chained_topics(names: Topics) -> tuple[str, ...]:
    """The topics of which every message is stored, in a chain."""
    return names.reconciled, names.mismatch, names.dead_letters, names.actions


def link(before: str, topic: str, partition: int, offset: int, content: bytes) -> str:
    """The next link, in hexadecimal. ``before`` is the previous one.

    >>> link(START, "mismatch", 0, 7, b"{}")
    '28f24eabcce24f35ae3c55aa1c83629e96f35578b2514d420deb2d807a112129'
    """
    return link_digest(before, topic, partition, offset, sha256(content))


def link_digest(before: str, topic: str, partition: int, offset: int, digest: str) -> str:
    """The next link, from the sha256 of the content."""
    return sha256(f"{before} {topic} {partition} {offset} {digest}".encode())
