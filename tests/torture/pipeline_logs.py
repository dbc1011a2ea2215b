"""What the workers said in their logs: breaks, each told once, and nothing that nobody caught.

    texts of the logs, results on the topics  ->  Findings I11, I12

The lines of log are the alerts there are. A result that came again after a death, byte for byte, may be told again.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torture.findings import NOWHERE, Defect, Finding

TOLD = re.compile(r"break (opened|reclassified|resolved) trade=.* version=(\d+) event=([0-9a-f]+)")
NOBODYS = ("was never retrieved", "was never awaited", "Unclosed", "Fatal Python error", "Segmentation fault")
EVENT_DIGITS = 12


def judge_logs(logs: Iterable[str], results: Sequence[Any]) -> Iterator[Finding]:
    """I11: a break told more often than its result was sent. I12: what nobody caught. ``results``: as on the topics."""
    homes = Counter(result.event_id[:EVENT_DIGITS] for result in results if result.role == result.home)
    told: Counter[str] = Counter()
    for log in logs:
        told.update(event for _, _, event in TOLD.findall(log))
        for words in NOBODYS:
            if words in log:
                line = next(line for line in log.splitlines() if words in line)
                yield Finding(Defect.HYGIENE, NOWHERE, NOWHERE, f"in a log: {line[:200]}", "I12")
    for event, times in told.items():
        if times > homes[event]:
            text = f"the break of event {event} is told {times} times, its result was sent {homes[event]} times"
            yield Finding(Defect.DOUBLED, NOWHERE, NOWHERE, text, "I11")
