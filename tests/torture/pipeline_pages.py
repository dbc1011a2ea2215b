"""The workers' pages once everything is settled: they must be ready, and their counters right.

worker logs (with their addresses), histories before and after  ->  Findings I9, I10
"""

import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus

from torture.findings import NOWHERE, Defect, Finding
from torture.pipeline_oracle import INPUTS, PipelineHistory

ADDRESS = re.compile(r"TradeRecon is at (http://\S+?)/? ")
PAGE_TIMEOUT_S, READY_TIMEOUT_S = 20.0, 5.0
SAMPLE = re.compile(r"^(traderecon_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def judge_pages(logs: Sequence[str], before: PipelineHistory, after: PipelineHistory) -> Iterator[Finding]:
    """I10: a worker that is not ready. I9: counters and gauges that disagree with topics and database.

    ``logs``: the log of each worker since its start; everything in ``before`` was committed by then.
    """
    addresses = [found[-1] for found in map(ADDRESS.findall, logs) if found]
    consumed: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    pending = 0.0
    for address in addresses:
        status, _ = fetch_page(f"{address}/healthz/ready")
        if status != 200:
            yield Finding(
                Defect.PAGES, NOWHERE, NOWHERE, f"{address} answers {status}: not ready, although all is settled", "I10"
            )
        _, text = fetch_page(f"{address}/metrics")
        for name, labels, value in samples(text):
            if name == "traderecon_messages_consumed_total":
                consumed[labels["topic"]] += int(value)
            elif name == "traderecon_messages_rejected_total":
                rejected[labels["topic"]] += int(value)
            elif name == "traderecon_pending_trades":
                pending += value
    for role in INPUTS:
        start = {number: before.committed.get((role, number), 0) for number in range(100)}
        new_origins = [origin for origin in after.rows if origin[0] == role and origin[2] >= start.get(origin[1], 0)]
        malformed = sum(after.rows[origin] is None for origin in new_origins)
        for label, reported, expected in (
            ("consumed", consumed[role], len(new_origins)),
            ("rejected", rejected[role], malformed),
        ):
            if reported != expected:
                text = f"the workers have {label} {reported} of {role}, there were {expected}"
                yield Finding(Defect.PAGES, NOWHERE, NOWHERE, text, "I9")
    if pending:
        yield Finding(
            Defect.PAGES, NOWHERE, NOWHERE, f"{pending:.0f} trades wait by the gauge, none by the tables", "I9"
        )


def says_ready(log: str) -> bool:
    """Whether the worker with this log reports to be ready within a few seconds."""
    addresses = ADDRESS.findall(log)
    return bool(addresses) and fetch_page(f"{addresses[-1]}/healthz/ready", READY_TIMEOUT_S)[0] == HTTPStatus.OK


def samples(text: str) -> Iterable[tuple[str, dict[str, str], float]]:
    """The samples of a metrics page."""
    for name, labels, value in SAMPLE.findall(text):
        yield name, dict(LABEL.findall(labels)), float(value)


def fetch_page(url: str, timeout_s: float = PAGE_TIMEOUT_S) -> tuple[int, str]:
    """Status and text of a page; status 0 if there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
