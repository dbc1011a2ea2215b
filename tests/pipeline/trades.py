"""Send trades to an installation, and count its results."""

import json
from collections.abc import Iterable

from pipeline_case import Installation


def execution(number: int, **changes: object) -> bytes:
    """The execution of trade ``G<number>``."""
    leg = {"trade_id": f"G{number}", "ticker": "AAPL", "quantity": 100, "price": "190.50"}
    return json.dumps({**leg, "timestamp": "2025-07-26T10:01:23Z", **changes}).encode()


def send(installation: Installation, numbers: Iterable[int]) -> None:
    """Send both legs of each trade."""
    legs = [execution(number) for number in numbers]
    installation.append(installation.topics.executions, legs)
    installation.append(installation.topics.broker_confirmations, legs)


def matched_count(installation: Installation) -> int:
    """How many trades are MATCHED in the database."""
    return int(installation.one("SELECT count(*) FROM results WHERE state = 'MATCHED'") or 0)


def duplicate_results(installation: Installation) -> int:
    """How many results are more than once in the history."""
    return len(installation.rows("SELECT 1 FROM result_history GROUP BY trade_id, version HAVING count(*) > 1"))
