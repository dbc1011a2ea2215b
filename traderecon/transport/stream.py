"""Streams and agents that acknowledge only finished events, and stop at an error.

Faust acknowledges an event in a ``finally``: even if the agent raised (F1b), and even if it discarded the event as
belonging to an earlier assignment (F14). Here an event is acknowledged only when the agent's loop asks for the next
one. An exception that leaves an agent ends the process with 70. Source: docs/transport.md, F1b and F14.
"""

from collections.abc import AsyncIterator
from typing import Any, cast
from weakref import ref

from faust import Agent, Stream
from faust.events import Event
from faust.exceptions import ImproperlyConfigured
from faust.streams import _current_event
from faust.topics import Topic
from mode.utils.futures import maybe_async

from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop


class BatchStream(Stream[Any]):
    """A stream over topics that acknowledges an event after the loop body has completed."""

    def give_back(self) -> None:
        """Return the current event unprocessed: the next owner of its partition reads it again.

        Allowed only while the flow is suspended (a stop, a rebalance). Nothing behind it is committed under this
        assignment. Raises RuntimeError otherwise.
        """
        event = self.current_event
        if event is None or self.app.flow_control.is_active():
            raise RuntimeError(f"{event!r} cannot be given back: its partition is still assigned and flowing")
        self.current_event = None
        cast(Any, self.app.consumer).give_back(event.message)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._events() if isinstance(self.channel, Topic) else super().__aiter__()

    async def _events(self) -> AsyncIterator[Any]:
        self._finalized = True
        started_here = await self.maybe_start()
        try:
            while not self.should_stop:
                event: Event = await self.channel.__anext__()
                message = event.message
                flowing = self.app.flow_control.is_active()
                if not flowing or message.generation_id != self.app.consumer_generation_id:
                    continue  # of an earlier assignment: the partition's current owner reads it again
                message.tracked = True
                self.app.consumer.track_message(message)
                sensor_state = self._on_stream_event_in(message.tp, message.offset, self, event)
                _current_event.set(ref(event))
                self.current_event = event
                value = event.value
                for processor in self._processors:
                    value = await maybe_async(processor(value))
                yield value
                # Reached only when the loop asks for the next event, not after a raise, break or cancellation.
                if self.current_event is not event:
                    continue  # it was given back
                self.current_event = None
                self._on_stream_event_out(message.tp, message.offset, self, event, sensor_state)
                if event.ack():
                    self._on_message_out(message.tp, message.offset, message)
        except StopAsyncIteration:
            return  # Faust ends a waiting agent this way
        finally:
            self._channel_stop_iteration(self.channel)
            if started_here:
                await self.stop()
                self.service_reset()


class BatchAgent(Agent):
    """An agent that ends the process on an error instead of skipping the event."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_error = _stop_on_error
        if self.concurrency != 1 or self.isolated_partitions:
            raise ImproperlyConfigured(
                f"agent {self.name!r} has concurrency {self.concurrency}, isolated_partitions "
                f"{self.isolated_partitions}: use 1 and False, since records of a partition are processed in order"
            )


async def _stop_on_error(agent: Any, error: BaseException) -> None:
    event = next((actor.stream.current_event for actor in agent._actors if actor.stream.current_event), None)
    batch = f" at {event.value!r}" if event is not None else ""
    if event is not None:
        for table in agent.app.tables.values():
            table.condemn_if_unreadable(event.value.partition, error)
    # An error may carry its own exit code, when a restart would meet the same record again.
    code = getattr(error, "exit_code", Exit.SOFTWARE)
    fail_stop(f"agent {agent.name} failed{batch}: {error!r}. The batch is not acknowledged.", error, code=code)
