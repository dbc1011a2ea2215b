"""Rows: what a statement looks like in its CSV file.

trade_id,ticker,quantity,price,timestamp        S7-00000042,KO,1200,69.17,2025-07-25T13:30:00.840Z
trade_id,pnl_impact,commission                  S7-00000042,82997.89,6.11
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from traderecon.records import Source
from traderecon.simulator.flaws import spoilt
from traderecon.simulator.profiles import Profile
from traderecon.simulator.statements import Statement, Terms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Looked up, not formatted: most of a simulated day's work is writing numbers.
_DECIMALS = tuple(f".{rest:03d}" if rest % 10 else f".{rest // 10:02d}" for rest in range(1000))
_MILLISECONDS = tuple(f".{rest:03d}Z" for rest in range(1000))


def header(source: Source, profile: Profile) -> str:
    """The first line of the source's file. A pnl snapshot may have versions, and no kind."""
    if source is Source.PNL:
        return "trade_id,pnl_impact,commission" + (",version" if profile.versioned else "")
    return "trade_id,ticker,quantity,price,timestamp" + (",version,kind" if profile.versioned else "")


def row_of(trade_id: str, statement: Statement, profile: Profile) -> str:
    """The statement as one line without its line break; bytes that are no UTF-8 are lone surrogates."""
    said = statement.said
    if isinstance(said, Terms):
        amount = 3
        cells = [
            _quoted(trade_id),
            _quoted(said.ticker),
            str(said.quantity),
            _amount(said.price_mills),
            _instant(said.at_ms),
        ]
        if profile.versioned:
            cells += str(statement.version), statement.kind.value
    else:
        amount = 1
        cells = [_quoted(trade_id), _amount(said.pnl_mills), _amount(said.commission_mills)]
        if profile.versioned:
            cells.append(str(statement.version))
    return ",".join(spoilt(cells, statement.flaw, amount) if statement.flaw else cells)


def _amount(mills: int) -> str:
    """Two decimals, or three where it takes three."""
    if mills < 0:
        return f"-{_amount(-mills)}"
    whole, rest = divmod(mills, 1000)
    return f"{whole}{_DECIMALS[rest]}"


def _instant(at_ms: int) -> str:
    """ISO 8601 in UTC with three fraction digits, always."""
    second, rest = divmod(at_ms, 1000)
    return f"{_second(second)}{_MILLISECONDS[rest]}"


@lru_cache(maxsize=64)
def _second(epoch_s: int) -> str:
    return (_EPOCH + timedelta(seconds=epoch_s)).strftime("%Y-%m-%dT%H:%M:%S")


def _quoted(text: str) -> str:
    if '"' not in text and "," not in text:
        return text
    return '"{}"'.format(text.replace('"', '""'))
