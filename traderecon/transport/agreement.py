"""Agreement: a value all workers of a consumer group must share, enforced by the broker.

    Agreement("rules", "<sha256>")  ->  the group protocol "rules-<sha256>"

A group has one protocol, and its coordinator rejects a member that does not offer it (``INCONSISTENT_GROUP_PROTOCOL``):
two workers that differ are never in one group, whatever the timing. The later one waits idle and describes both values.
The protocol's name is all that it can know of the others' value.

A worker that left stays a member until its session times out. A rejection that outlasts the session therefore comes
from a live worker. From then on this worker stays out until the group has its protocol, even if the group becomes
empty: a crashed worker may come back, and the shared value must not change by accident. To change it, stop all workers
and start them again.
"""

from collections.abc import Callable
from typing import NamedTuple

MARGIN_S = 3.0
"""The coordinator notices the end of a session at most this late."""


class GroupState(NamedTuple):
    """A group's protocol (empty during a rebalance), its number of members, and their hosts."""

    protocol: str
    members: int
    hosts: tuple[str, ...] = ()


class Agreement(NamedTuple):
    """``kind``: what must match (``rules``, ``database``); ``value``: this worker's; ``todo``: how to resolve it.

    ``describe``: a protocol in words; of the empty one, that it is unknown. ``older_name``: the protocol if it is to
    be the one of versions without this agreement.
    """

    kind: str
    value: str
    describe: Callable[[str], str]
    todo: str
    older_name: str = ""

    @property
    def protocol(self) -> str:
        """The name of the group's protocol."""
        return self.older_name or f"{self.kind}-{self.value}"


class Membership:
    """Whether the group has rejected this worker, and since when. Times are monotonic seconds."""

    def __init__(self, agreement: Agreement, session_s: float) -> None:
        self._agreement = agreement
        self._session_s = session_s
        self._rejected_since_s: float | None = None
        self._group_protocol = ""

    @property
    def is_rejected(self) -> bool:
        """Whether the group rejected this worker and has not accepted it since."""
        return self._rejected_since_s is not None

    def reject(self, now_s: float) -> None:
        """Record that the group has another protocol."""
        if self._rejected_since_s is None:
            self._rejected_since_s = now_s

    def accept(self) -> None:
        """Record that this worker has joined the group."""
        self._rejected_since_s = None

    def observe(self, state: GroupState | None) -> None:
        """Remember the group's protocol if it differs from this worker's."""
        if state is not None and state.protocol not in {"", self._agreement.protocol}:
            self._group_protocol = state.protocol

    def must_stay_out(self, state: GroupState | None, now_s: float) -> bool:
        """Whether not to try to join: a live worker caused the rejection, and the group still has another protocol."""
        if self._rejected_since_s is None or now_s - self._rejected_since_s <= self._session_s + MARGIN_S:
            return False
        return state is None or not state.members or state.protocol != self._agreement.protocol

    def reason(self, group: str, state: GroupState | None) -> str:
        """Why this worker waits, with the group's value and its own in words."""
        agreement = self._agreement
        value = agreement.describe(self._group_protocol)
        if state is not None and not state.members:
            finding = f"the group {group} had {value} when this worker started, and is empty now"
        else:
            hosts = f" ({', '.join(state.hosts)})" if state is not None and state.hosts else ""
            finding = f"the other workers of the group {group}{hosts} have {value}"
        return f"{finding}; this worker has {agreement.describe(agreement.protocol)}. It waits. {agreement.todo}"
