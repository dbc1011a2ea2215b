"""Rows: a statement as a line of its CSV file.

trade_id,ticker,quantity,price,timestamp        S7-00000042,KO,1200,69.17,2025-07-25T13:30:00.840Z
trade_id,pnl_impact,commission                  S7-00000042,82997.89,6.11
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from traderecon.records import Source
from traderecon.simulator.flaws import add_flaw
from traderecon.simulator.profiles import Profile
from traderecon.simulator.statements import Statement, Terms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Lookup tables: formatting numbers is most of the work of a simulated day.
_DECIMALS = tuple(f".{rest:03d}" if rest % 10 else f".{rest // 10:02d}" for rest in range(1000))
_MILLISECONDS = tuple(f".{rest:03d}Z" for rest in range(1000))


def header(source: Source, profile: Profile) -> str:
    """The header line of the source's file. A pnl snapshot may have a version, but no kind."""
    if source is Source.PNL:
        return "trade_id,pnl_impact,commission" + (",version" if profile.versioned else "")
    return "trade_id,ticker,quantity,price,timestamp" + (",version,kind" if profile.versioned else "")


def row_of(trade_id: str, statement: Statement, profile: Profile) -> str:
    """The statement as one line without line break; bytes that are not UTF-8 are lone surrogates."""
    content = statement.content
    if isinstance(content, Terms):
        amount = 3
        cells = [
            _quoted(trade_id),
            _quoted(content.ticker),
            str(content.quantity),
            _amount(content.price_mills),
            _instant(content.at_ms),
        ]
        if profile.versioned:
            cells += str(statement.version), statement.kind.value
    else:
        amount = 1
        cells = [_quoted(trade_id), _amount(content.pnl_mills), _amount(content.commission_mills)]
        if profile.versioned:
            cells.append(str(statement.version))
    return ",".join(add_flaw(cells, statement.flaw, amount) if statement.flaw else cells)


def _amount(mills: int) -> str:
    """The amount with two decimals, or three if needed."""
    if mills < 0:
        return f"-{_amount(-mills)}"
    whole, rest = divmod(mills, 1000)
    return f"{whole}{_DECIMALS[rest]}"


def _instant(at_ms: int) -> str:
    """ISO 8601 in UTC, always with three fraction digits."""
    second, rest = divmod(at_ms, 1000)
    return f"{_second(second)}{_MILLISECONDS[rest]}"


@lru_cache(maxsize=64)
def _second(epoch_s: int) -> str:
    return (_EPOCH + timedelta(seconds=epoch_s)).strftime("%Y-%m-%dT%H:%M:%S")


def _quoted(text: str) -> str:
    if '"' not in text and "," not in text:
        return text
    return '"{}"'.format(text.replace('"', '""'))
