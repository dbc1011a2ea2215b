"""Elsewhere: the processes of this worker that have no pages, asked for their health and metrics over loopback."""

import asyncio
import json
from collections.abc import Mapping

from aiohttp import ClientError, ClientSession, ClientTimeout

WITHIN = ClientTimeout(total=2)
"""A process that has not answered by then is not well; what it has counted shows when it answers again."""
OPEN_METRICS = "application/openmetrics-text"
UNWELL = {"answers": False}


class Elsewhere:
    """``ports``: role -> the port of loopback where its process answers."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports

    async def health(self) -> dict[str, Mapping[str, bool]]:
        """What each role says of itself; one that does not answer is not well."""
        signs: dict[str, Mapping[str, bool]] = {}
        for role, answer in zip(self._ports, await self._asked("/healthz/live"), strict=True):
            signs |= {role: UNWELL} if answer is None else json.loads(answer)["roles"]
        return signs

    async def metrics(self) -> list[str]:
        """What each process exposes (OpenMetrics); one that does not answer is left out."""
        return [answer for answer in await self._asked("/metrics") if answer is not None]

    async def _asked(self, path: str) -> list[str | None]:
        async with ClientSession(timeout=WITHIN, headers={"Accept": OPEN_METRICS}) as session:
            return await asyncio.gather(*(_answer(session, port, path) for port in self._ports.values()))


async def _answer(session: ClientSession, port: int, path: str) -> str | None:
    try:
        async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return await answer.text()
    except (ClientError, TimeoutError):
        return None
