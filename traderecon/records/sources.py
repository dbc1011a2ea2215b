"""The source of a leg, and its kind: new, amend or cancel."""

from traderecon.records.words import Word


class Source(Word):
    """One of the three feeds; the value is the topic's name and the stem of its CSV file."""

    EXECUTIONS = "executions"
    CONFIRMATIONS = "broker_confirmations"
    PNL = "pnl_snapshot"


class Kind(Word):
    """What a version of a leg does. At equal version cancel wins over amend, amend over new."""

    NEW = "new"
    AMEND = "amend"
    CANCEL = "cancel"

    @property
    def rank(self) -> int:
        """Precedence at equal version; the highest wins (CONTRACT.md, Topics)."""
        return _RANKS[self]


_RANKS = {Kind.NEW: 0, Kind.AMEND: 1, Kind.CANCEL: 2}
