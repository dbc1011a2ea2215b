"""A hash chain: each record's hash covers the hash before it, so that nothing can be changed, left out or moved.

    link = sha256("<link before> <topic> <partition> <offset> <sha256 of the content>")      the first follows 64 zeros

One chain per topic and partition, over the rows that came of it, in offset order. The content is a result's bytes as
they lie on the topic, or a dead letter's ``content``. The time of the insert is not in it: a rebuilt database has the
same chains.
"""

from traderecon.records.digest import sha256

START = "0" * 64
"""What the first link follows."""


def link(before: str, topic: str, partition: int, offset: int, content: bytes) -> str:
    """The next link, in hexadecimal.

    >>> link(START, "mismatch", 0, 7, b"{}")
    '28f24eabcce24f35ae3c55aa1c83629e96f35578b2514d420deb2d807a112129'
    """
    return linked(before, topic, partition, offset, sha256(content))


def linked(before: str, topic: str, partition: int, offset: int, digest: str) -> str:
    """The next link, where of the content only its sha256 is known."""
    return sha256(f"{before} {topic} {partition} {offset} {digest}".encode())
