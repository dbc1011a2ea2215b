"""Newest results: the result of every trade that is in force, page by page."""

from collections.abc import Iterator

from sqlalchemy import Engine, and_, func, select

from traderecon.sink.schema import result_history, results

TRADES_PER_PAGE = 1_000


def count(engine: Engine) -> int:
    """How many trades have a result."""
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(results)).scalar_one())


def newest_results(engine: Engine) -> Iterator[bytes]:
    """The newest result of each trade, by trade_id; empty for one that was purged.

    Each page is a transaction of its own: a worker may write meanwhile.
    """
    newest = and_(result_history.c.trade_id == results.c.trade_id, result_history.c.event_id == results.c.event_id)
    same_version = result_history.c.version == results.c.version
    query = (
        select(results.c.trade_id, result_history.c.result)
        .join(result_history, and_(newest, same_version))
        .order_by(results.c.trade_id)
        .limit(TRADES_PER_PAGE)
    )
    after = None
    while True:
        page = query if after is None else query.where(results.c.trade_id > after)
        with engine.connect() as connection:
            rows = connection.execute(page).all()
        for _, result in rows:
            yield result.encode() if isinstance(result, str) else bytes(result or b"")
        if len(rows) < TRADES_PER_PAGE:
            return
        after = rows[-1][0]
