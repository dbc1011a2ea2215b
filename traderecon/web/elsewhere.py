"""Elsewhere: the processes of this worker that have no pages, asked for their health and metrics over loopback."""

import asyncio
import json
from collections.abc import Mapping

from aiohttp import ClientError, ClientSession, ClientTimeout

WITHIN = ClientTimeout(total=2)
"""A process that has not answered by then is not well."""
OPEN_METRICS = "application/openmetrics-text"
UNWELL = {"answers": False}


class Elsewhere:
    """``ports``: role -> the port of loopback where its process answers."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports

    async def health(self) -> dict[str, Mapping[str, bool]]:
        """What each role says of itself; one that does not answer is not well."""
        answers = await self._asked("/healthz/live")
        signs: dict[str, Mapping[str, bool]] = {}
        for role, answer in answers.items():
            signs |= {role: UNWELL} if answer is None else json.loads(answer)["roles"]
        return signs

    async def metrics(self) -> list[str] | None:
        """What each process exposes (OpenMetrics); None when one does not answer: counters must not seem to fall."""
        answers = await self._asked("/metrics")
        told = [answer for answer in answers.values() if answer is not None]
        return told if len(told) == len(answers) else None

    async def _asked(self, path: str) -> dict[str, str | None]:
        if not self._ports:
            return {}
        async with ClientSession(timeout=WITHIN, headers={"Accept": OPEN_METRICS}, raise_for_status=True) as session:
            answers = await asyncio.gather(*(_answer(session, port, path) for port in self._ports.values()))
        return dict(zip(self._ports, answers, strict=True))


async def _answer(session: ClientSession, port: int, path: str) -> str | None:
    try:
        async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return await answer.text()
    except (ClientError, TimeoutError):
        return None
