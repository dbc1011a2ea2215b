"""Elsewhere: the processes of this worker that have no pages, asked for their health and metrics over loopback."""

import asyncio
import json
from collections.abc import Mapping, Sequence

from aiohttp import ClientError, ClientSession, ClientTimeout

WITHIN = ClientTimeout(total=2)
"""A process that has not answered by then is not well."""
OPEN_METRICS = "application/openmetrics-text"
UNWELL = {"answers": False}


class Siblings:
    """``places``: a role, and the port of loopback where a process of it answers; a role may have several."""

    def __init__(self, places: Sequence[tuple[str, int]]) -> None:
        self._places = places

    async def health(self) -> Mapping[str, Mapping[str, bool]]:
        """What each role says of itself; of several processes all have to be well, and each has to answer."""
        signs: dict[str, Mapping[str, bool]] = {}
        for role, answer in await self._asked("/healthz/live"):
            said = UNWELL if answer is None else json.loads(answer)["roles"][role]
            before = signs.get(role, said)
            known = UNWELL not in (said, before)
            signs[role] = {sign: well and before[sign] for sign, well in said.items()} if known else UNWELL
        return signs

    async def incidents(self) -> list[str]:
        """The sentences of the open incidents of each process that answers."""
        answers = await self._asked("/healthz/live")
        return [sentence for _, answer in answers if answer is not None for sentence in json.loads(answer)["incidents"]]

    async def metrics(self) -> list[str] | None:
        """What each process exposes (OpenMetrics); None when one does not answer: counters must not seem to fall."""
        answers = await self._asked("/metrics")
        told = [answer for _, answer in answers if answer is not None]
        return told if len(told) == len(answers) else None

    async def _asked(self, path: str) -> list[tuple[str, str | None]]:
        if not self._places:
            return []
        async with ClientSession(timeout=WITHIN, headers={"Accept": OPEN_METRICS}, raise_for_status=True) as session:
            answers = await asyncio.gather(*(_answer(session, port, path) for _, port in self._places))
        return [(role, answer) for (role, _), answer in zip(self._places, answers, strict=True)]


async def _answer(session: ClientSession, port: int, path: str) -> str | None:
    try:
        async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return await answer.text()
    except (ClientError, TimeoutError):
        return None
