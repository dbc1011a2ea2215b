"""The other processes of this worker, without pages: their health and metrics, over loopback."""

import asyncio
import json
from collections.abc import Mapping, Sequence

from aiohttp import ClientError, ClientSession, ClientTimeout

TIMEOUT = ClientTimeout(total=2)
"""A process that does not answer in time is not healthy."""
OPEN_METRICS = "application/openmetrics-text"
NO_ANSWER = {"answers": False}


class Siblings:
    """``endpoints``: a role, and the loopback port of one of its processes; a role may have several."""

    def __init__(self, endpoints: Sequence[tuple[str, int]]) -> None:
        self._endpoints = endpoints

    async def health(self) -> Mapping[str, Mapping[str, bool]]:
        """The health signs of each role; a sign is true only if all processes of the role answer and agree."""
        signs: dict[str, Mapping[str, bool]] = {}
        for role, body in await self._get("/healthz/live"):
            reported = NO_ANSWER if body is None else json.loads(body)["roles"][role]
            merged = signs.get(role, reported)
            if NO_ANSWER in (reported, merged):
                signs[role] = NO_ANSWER
            else:
                signs[role] = {sign: well and merged[sign] for sign, well in reported.items()}
        return signs

    async def incidents(self) -> list[str]:
        """The open incidents of each process that answers, as sentences."""
        bodies = await self._get("/healthz/live")
        return [sentence for _, body in bodies if body is not None for sentence in json.loads(body)["incidents"]]

    async def metrics(self) -> list[str] | None:
        """The metrics of each process (OpenMetrics); None if one does not answer: counters must not seem to drop."""
        bodies = await self._get("/metrics")
        answered = [body for _, body in bodies if body is not None]
        return answered if len(answered) == len(bodies) else None

    async def _get(self, path: str) -> list[tuple[str, str | None]]:
        if not self._endpoints:
            return []
        async with ClientSession(timeout=TIMEOUT, headers={"Accept": OPEN_METRICS}, raise_for_status=True) as session:
            bodies = await asyncio.gather(*(_body(session, port, path) for _, port in self._endpoints))
        return [(role, body) for (role, _), body in zip(self._endpoints, bodies, strict=True)]


async def _body(session: ClientSession, port: int, path: str) -> str | None:
    try:
        async with session.get(f"http://127.0.0.1:{port}{path}") as response:
            return await response.text()
    except (ClientError, TimeoutError):
        return None
