"""Write legal holds to the database, each once; a release ends an existing hold."""

from sqlalchemy import Connection

from traderecon.records.action import Hold, Release

_HOLD = (
    'INSERT INTO legal_holds (hold_id, trade_id, ticker, "by", since, reason) VALUES (?, ?, ?, ?, ?, ?) '
    "ON CONFLICT (hold_id) DO NOTHING"
)
_RELEASE = (
    "UPDATE legal_holds SET released_by = ?, released_at = ?, release_reason = ? "
    "WHERE hold_id = ? AND released_at IS NULL"
)


def take_hold(connection: Connection, decision: Hold | Release) -> None:
    """Write a hold, or the release of one."""
    if isinstance(decision, Hold):
        row = (decision.hold_id, decision.trade_id, decision.ticker, decision.by, decision.at, decision.reason)
        connection.exec_driver_sql(_HOLD, row)
    else:
        release = (decision.by, decision.at, decision.reason, decision.hold_id)
        connection.exec_driver_sql(_RELEASE, release)
