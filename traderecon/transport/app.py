"""A Faust app on the micro-batch transport. Every setting that correctness depends on is explicit."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import faust
from faust.exceptions import ProducerSendError
from faust.transport.drivers import TRANSPORTS
from faust.types import TP
from mode.utils.logging import DEFAULT_FORMATTERS

from traderecon.exit_codes import Exit
from traderecon.transport.agreement import Agreement, Membership
from traderecon.transport.catch_up import CatchUp
from traderecon.transport.consumer import BatchConsumer
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.failpoints import Failpoint, hit
from traderecon.transport.group_membership import Assignor
from traderecon.transport.incidents import Incidents
from traderecon.transport.microbatch import BATCH_BYTES, Outgoing
from traderecon.transport.pauses import Pauses
from traderecon.transport.recovery import BatchTableManager
from traderecon.transport.security import PLAINTEXT, Security, denied
from traderecon.transport.starts import StartOffsets
from traderecon.transport.stream import BatchAgent, BatchStream
from traderecon.transport.write_marks import WriteMarks

SCHEMES = {
    "kafka": "traderecon.transport.kafka:Transport",
    "embedded": "traderecon.transport.embedded:Transport",
}

LOOPBACK = "127.0.0.1"
METADATA_MS = 10_000
"""A partition added to a topic is noticed within this time."""


class Timing(NamedTuple):
    """How long an app waits, in seconds, and how often it commits.

    ``session_s``: for the group to notice its death; ``stall_s``: for a partition that does not move, then it ends;
    ``stop_s``: for work in progress when it is told to stop.
    """

    session_s: float = 10.0
    commit_interval_s: float = 0.5
    stall_s: float = 60.0
    stop_s: float = 30.0


DEFAULT_TIMING = Timing()


class TopicUse(NamedTuple):
    """The topics of an app beside those its agents consume.

    ``writes``: topics it appends to; like a missing source, a missing one prevents the start.
    ``reads``: topics it reads outside its group.
    ``fixed``: topics whose number of partitions must not change; the process ends if it does, since keys moved.
    """

    writes: Collection[str] = ()
    reads: Collection[str] = ()
    fixed: Collection[str] = ()


NO_TOPICS = TopicUse()

_FORMATTERS: dict[str, Any] = DEFAULT_FORMATTERS
_LOGGING = {
    "merge": True,
    "formatters": {
        name: {**formatter, "format": formatter["format"].removesuffix(" %(extra)s")}
        for name, formatter in _FORMATTERS.items()
    },
}
"""Faust's log lines without the blank at their end: nothing here logs what would come after it."""


class StreamApp(faust.App):
    """A ``faust.App`` whose streams carry micro-batches: ``kafka://...`` or ``embedded://...``.

    ``start_offsets``: where to start on partitions whose offsets are not kept by the group (a sink's database).
    ``catch_up``: catches a table up before records are read again that the group committed and the table lost.
    ``partitions``: how many the topics of its agents have.
    ``security``: protocol and credentials for its consumer, its producer and the recovery reader.
    ``agreement``: the value all members of its group must share; a worker that differs waits.
    ``web_host``: the address to serve pages on; None for no pages.
    ``streams``: False for an app that only serves pages and neither reads nor writes topics.

    Creating an app registers the schemes ``kafka`` and ``embedded`` with Faust, for the whole process.
    """

    transport: Any
    tables: Any

    def __init__(
        self,
        name: str,
        *,
        broker: str,
        security: Security = PLAINTEXT,
        data_dir: Path,
        partitions: int = 4,
        topic_use: TopicUse = NO_TOPICS,
        instance: str | None = None,
        agreement: Agreement | None = None,
        timing: Timing = DEFAULT_TIMING,
        batch_records: int = 1_000,
        web_host: str | None = None,
        streams: bool = True,
        **settings: Any,
    ) -> None:
        TRANSPORTS.aliases.update(SCHEMES)
        data_dir.mkdir(parents=True, exist_ok=True)
        self.start_offsets: StartOffsets | None = None
        self.catch_up: CatchUp | None = None
        self.write_marks = WriteMarks(name)
        self.writes, self.reads, self.fixed = map(frozenset, topic_use)
        self.pauses = Pauses(name)
        self.incidents = Incidents(name)
        self.security = security
        self.agreement = agreement
        self.membership = Membership(agreement, timing.session_s) if agreement is not None else None
        self._stop_s = timing.stop_s
        super().__init__(
            name,
            broker=broker,
            broker_credentials=security.credentials(),
            datadir=str(data_dir),
            store="rocksdb://",
            topic_partitions=partitions,
            topic_disable_leader=True,
            table_standby_replicas=0,  # a standby's fetches lost messages
            processing_guarantee="at_least_once",
            Stream=BatchStream,
            Agent=BatchAgent,
            TableManager=BatchTableManager,
            PartitionAssignor=Assignor,
            consumer_group_instance_id=instance,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=timing.session_s,
            broker_heartbeat_interval=timing.session_s / 4,
            broker_request_timeout=max(30.0, timing.session_s * 2),
            broker_rebalance_timeout=30.0,
            broker_commit_interval=timing.commit_interval_s,
            consumer_metadata_max_age_ms=METADATA_MS,
            broker_max_poll_records=batch_records,
            stream_buffer_maxsize=4,
            stream_wait_empty=True,
            stream_recovery_delay=0.0,
            stream_processing_timeout=timing.stall_s,
            producer_acks=-1,
            producer_max_batch_size=BATCH_BYTES,
            producer_max_request_size=BATCH_BYTES + 100_000,
            producer_request_timeout=30.0,
            web_bind=web_host or LOOPBACK,
            web_tables_enabled=False,
            logging_config=_LOGGING,
            **settings,
        )
        # Faust's command line starts the web server whatever ``web_enabled`` says.
        self.boot_strategy.enable_web = web_host is not None
        self.boot_strategy.enable_kafka = streams

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned, tables recovered, and records flowing."""
        return not self.boot_strategy.enable_kafka or (self.flow_control.is_active() and not self.rebalancing)

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        """Write rows to a partition, in order, and wait until they are durable; return their spans of offsets."""
        tp = TP(topic, partition)
        before = self.write_marks.last(tp)
        try:
            spans: list[range] = await cast(Any, self.producer).append(topic, partition, rows)
        except ProducerSendError as error:
            if reason := denied(error, self.security.principal, operation="Write"):
                fail_stop(f"{self.conf.id}: {reason}. The records behind this write are not acknowledged.", error)
            raise
        if spans:
            self.write_marks.note(tp, rows, spans, before)
        return spans

    async def start(self) -> None:
        """Start every service, or end the process: 4 if the log does not answer, 78 if it denies access, else 70."""
        try:
            await super().start()
        except self.transport.Consumer.transient_errors as error:
            if reason := denied(error, self.security.principal, operation="Create"):
                fail_stop(f"{self.conf.id}: {reason}", code=Exit.CONFIG)
            fail_stop(
                f"{self.conf.id}: no answer from {', '.join(map(str, self.transport.url))}: {error}",
                code=Exit.UNREACHABLE,
            )
        except Exception as error:
            fail_stop(f"{self.conf.id} could not start: {error!r}", error)

    async def stop(self) -> None:
        """Finish and commit work in progress; after ``stop_s`` the process ends anyway, even if the log is down."""
        late = f"{self.conf.id} did not stop within {self._stop_s:.0f} s: unfinished work is not committed"
        timer = self.loop.call_later(self._stop_s, fail_stop, late)
        hit(Failpoint.STOPPING, self.conf.id)
        await super().stop()
        hit(Failpoint.STOPPED, self.conf.id)
        timer.cancel()

    def _crash(self, reason: BaseException) -> None:
        if not self._stopped.is_set():
            code = getattr(reason, "exit_code", Exit.SOFTWARE)
            fail_stop(f"a part of {self.conf.id} failed: {reason!r}", reason, code=code)
        super()._crash(reason)

    def _new_consumer(self) -> Any:
        consumer = super()._new_consumer()
        if not isinstance(consumer, BatchConsumer):
            raise TypeError(f"{type(consumer).__qualname__} is not a BatchConsumer: it could acknowledge lost records")
        return consumer
