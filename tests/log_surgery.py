"""Surgery on an embedded log: what an unclean election, a power cut on one copy or a topic made anew do to a partition.

cut(log, "legs", 0, end=20)     the partition ends there, whatever was acknowledged
refill                          is an ordinary append
"""

from traderecon.transport.log import Log
from traderecon.transport.log.batches import pack, unpack
from traderecon.transport.log.database import INSERT, batch_key


def cut(log: Log, topic: str, partition: int, end: int) -> int:
    """Have a partition end at an offset; gives how many records went."""
    located = log._located(topic, partition)
    span = (batch_key(located.id, end), batch_key(located.id + 1, 0))
    with log._database.writing() as db:
        batches = db.execute("SELECT place, checksum, content FROM batches WHERE place >= ? AND place < ?", span)
        records = [
            record
            for _, checksum, content in batches.fetchall()
            for record in unpack(f"{topic}[{partition}]", checksum, content)
        ]
        db.execute("DELETE FROM batches WHERE place >= ? AND place < ?", span)
        kept = [record for record in records if record.offset < end]
        db.executemany(INSERT, ((batch_key(located.id, last), *batch) for last, *batch in pack(kept)))
        db.execute(
            "UPDATE partitions SET next = :end, first = min(first, :end), cleaned = min(cleaned, :end) WHERE id = :id",
            {"end": end, "id": located.id},
        )
    log._compactions.pop(located.id, None)
    return len(records) - len(kept)
