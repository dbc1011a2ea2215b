"""The transport: ordinary Faust agents that receive and send micro-batches without losing records.

    log (Kafka, embedded) -> BatchConsumer -> MicroBatch -> agent -> producer.append, write_batch -> ack -> commit

``app.StreamApp`` is a ``faust.App`` on this transport; Faust takes half a second to import, so it is not imported
here. Invariants: docs/transport.md; rationale: docs/ARCHITECTURE.md.
"""

from traderecon.transport.microbatch import LOG_APPEND_TIME, MicroBatch, Outgoing, Record, partition_for

__all__ = ["LOG_APPEND_TIME", "MicroBatch", "Outgoing", "Record", "partition_for"]
