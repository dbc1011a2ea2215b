"""The logs of the workers: each break logged once, and no uncaught exception.

    texts of the logs, results on the topics  ->  Findings I11, I12

Break lines are alerts. A result that is published again after a crash, byte for byte, may be logged again.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torture.findings import NOWHERE, Defect, Finding

BREAK_LINE = re.compile(r"break (opened|reclassified|resolved) trade=.* version=(\d+) event=([0-9a-f]+)")
UNCAUGHT = ("was never retrieved", "was never awaited", "Unclosed", "Fatal Python error", "Segmentation fault")
EVENT_DIGITS = 12


def judge_logs(logs: Iterable[str], results: Sequence[Any]) -> Iterator[Finding]:
    """I11: a break logged more often than its result was published. I12: an uncaught error.

    ``results``: all results on the topics.
    """
    published = Counter(result.event_id[:EVENT_DIGITS] for result in results if result.role == result.home)
    logged: Counter[str] = Counter()
    for log in logs:
        logged.update(event for _, _, event in BREAK_LINE.findall(log))
        for mark in UNCAUGHT:
            if mark in log:
                line = next(line for line in log.splitlines() if mark in line)
                yield Finding(Defect.HYGIENE, NOWHERE, NOWHERE, f"in a log: {line[:200]}", "I12")
    for event, times in logged.items():
        if times > published[event]:
            text = f"the break of event {event} is told {times} times, its result was sent {published[event]} times"
            yield Finding(Defect.DOUBLED, NOWHERE, NOWHERE, text, "I11")
