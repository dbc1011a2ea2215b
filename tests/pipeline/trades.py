"""Trades as messages, and an installation that is given them: for the tests of guards."""

import json
from collections.abc import Iterable

from pipeline_case import Installation


def execution(number: int, **more: object) -> bytes:
    """The execution of trade ``G<number>``."""
    leg = {"trade_id": f"G{number}", "ticker": "AAPL", "quantity": 100, "price": "190.50"}
    return json.dumps({**leg, "timestamp": "2025-07-26T10:01:23Z", **more}).encode()


def send(installation: Installation, numbers: Iterable[int]) -> None:
    """Both legs of each trade."""
    legs = [execution(number) for number in numbers]
    installation.append(installation.topics.executions, legs)
    installation.append(installation.topics.broker_confirmations, legs)


def matched(installation: Installation) -> int:
    """How many trades the database has as MATCHED."""
    return int(installation.one("SELECT count(*) FROM results WHERE state = 'MATCHED'") or 0)


def doubled(installation: Installation) -> int:
    """How many results the history has more than once."""
    return len(installation.rows("SELECT 1 FROM result_history GROUP BY trade_id, version HAVING count(*) > 1"))
