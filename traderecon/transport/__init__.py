"""The transport: ordinary Faust agents, fed and drained in micro-batches that lose nothing.

    log (Kafka, embedded) -> BatchConsumer -> MicroBatch -> agent -> producer.append, table draft -> ack -> commit

``StreamApp`` is a ``faust.App`` on it. What must hold is in docs/transport.md, why in docs/ARCHITECTURE.md.
"""

from traderecon.transport.app import StreamApp
from traderecon.transport.microbatch import LOG_APPEND_TIME, MicroBatch, Outgoing, Record, partition_for

__all__ = ["LOG_APPEND_TIME", "MicroBatch", "Outgoing", "Record", "StreamApp", "partition_for"]
