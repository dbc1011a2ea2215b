"""Agreement: what every worker of a consumer group must have in common, enforced by the broker.

    Agreement("rules", "<sha256>")  ->  the group protocol "rules-<sha256>"

A group has one protocol, and its coordinator refuses a member that does not offer it (``INCONSISTENT_GROUP_PROTOCOL``):
two workers that differ are never in one group, whatever the timing. The later one waits, does nothing, and names both.

A member that has gone is in the group until its session has timed out. Only a refusal that outlasts that is by a
living worker; then this one stays out until the group has its protocol, also when the group becomes empty: a worker
that crashed may come back, and what all of them share must not change by accident. To change it, stop all, start all.
"""

from typing import NamedTuple

MARGIN_S = 3.0
"""A coordinator notices the end of a session this late at most."""


class GroupState(NamedTuple):
    """What the members of a group have agreed on, how many they are, and where; no members: an empty group.

    ``protocol`` is empty while the group rebalances.
    """

    protocol: str
    members: int
    hosts: tuple[str, ...] = ()


class Agreement(NamedTuple):
    """``kind``: what must be equal (``rules``, ``database``); ``value``: this worker's; ``todo``: how to change it."""

    kind: str
    value: str
    todo: str = ""

    @property
    def protocol(self) -> str:
        """The name of the group's protocol."""
        return f"{self.kind}-{self.value}"


class Membership:
    """How this worker stands with a group that has refused it; times are monotonic, in seconds."""

    def __init__(self, agreement: Agreement, session_s: float) -> None:
        self._agreement = agreement
        self._session_s = session_s
        self._refused_s: float | None = None
        self._other = ""

    @property
    def waits(self) -> bool:
        """Whether the group has refused us, and has not taken us since."""
        return self._refused_s is not None

    def refused(self, now_s: float) -> None:
        """The group has another protocol."""
        if self._refused_s is None:
            self._refused_s = now_s

    def joined(self) -> None:
        """The group has taken us."""
        self._refused_s = None

    def saw(self, state: GroupState | None) -> None:
        """Take note of what the group works with."""
        if state is not None and state.protocol not in {"", self._agreement.protocol}:
            self._other = state.protocol

    def stays_out(self, state: GroupState | None, now_s: float) -> bool:
        """Whether not to ask the group: it was a living worker that kept us out, and the group is not ours yet."""
        if self._refused_s is None or now_s - self._refused_s <= self._session_s + MARGIN_S:
            return False
        return state is None or not state.members or state.protocol != self._agreement.protocol

    def sentence(self, group: str, state: GroupState | None) -> str:
        """Why it waits, both sides named."""
        other = self._other or f"another {self._agreement.kind}"
        if state is not None and not state.members:
            found = f"the group {group} worked with {other} when this worker started, and is empty now"
        else:
            hosts = f" ({', '.join(state.hosts)})" if state is not None else ""
            found = f"the group {group} works with {other}{hosts}"
        return f"{found}; this worker has {self._agreement.protocol}, and waits. {self._agreement.todo}"
