"""What the workers' pages say once everything is settled: ready, and counted what there was to count.

logs of the lives (their addresses), histories before and after  ->  Findings I9, I10
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
ANSWER_S, SOON_S = 20.0, 5.0
SAMPLE = re.compile(r"^(traderecon_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def judge_pages(lives: Sequence[str], before: PipelineHistory, after: PipelineHistory) -> Iterator[Finding]:
    """I10: a worker that is not ready. I9: counters and gauges that are not what topics and database say.

    ``lives``: the log of each worker since it was started, when everything ``before`` was committed.
    """
    addresses = [found[-1] for found in map(ADDRESS.findall, lives) if found]
    consumed: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    pending = 0.0
    for address in addresses:
        status, _ = got(f"{address}/healthz/ready")
        if status != 200:
            yield Finding(Defect.PAGES, NOWHERE, NOWHERE, f"{address} says {status}: not ready, and all is done", "I10")
        _, text = got(f"{address}/metrics")
        for name, labels, value in samples(text):
            if name == "traderecon_messages_consumed_total":
                consumed[labels["topic"]] += int(value)
            elif name == "traderecon_messages_rejected_total":
                rejected[labels["topic"]] += int(value)
            elif name == "traderecon_pending_trades":
                pending += value
    for role in INPUTS:
        start = {number: before.committed.get((role, number), 0) for number in range(100)}
        fresh = [place for place in after.rows if place[0] == role and place[2] >= start.get(place[1], 0)]
        bad = sum(after.rows[place] is None for place in fresh)
        for what, counted, there in (("consumed", consumed[role], len(fresh)), ("rejected", rejected[role], bad)):
            if counted != there:
                text = f"the workers have {what} {counted} of {role}, there were {there}"
                yield Finding(Defect.PAGES, NOWHERE, NOWHERE, text, "I9")
    if pending:
        yield Finding(
            Defect.PAGES, NOWHERE, NOWHERE, f"{pending:.0f} trades wait by the gauge, none by the tables", "I9"
        )


def says_ready(life: str) -> bool:
    """Whether the worker with this log answers that it is ready, within a few seconds."""
    addresses = ADDRESS.findall(life)
    return bool(addresses) and got(f"{addresses[-1]}/healthz/ready", SOON_S)[0] == HTTPStatus.OK


def samples(text: str) -> Iterable[tuple[str, dict[str, str], float]]:
    """The samples of an exposition."""
    for name, labels, value in SAMPLE.findall(text):
        yield name, dict(LABEL.findall(labels)), float(value)


def got(url: str, within_s: float = ANSWER_S) -> tuple[int, str]:
    """Status and text of a page; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=within_s) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
