"""docs/cases.md: every row of docs/DOMAIN.md, 6.2, and whether it holds in each engine.

    DOMAIN.md 6.2, tests/scenarios/*.toml, the table of tests/scenarios/README.md -> Case -> a row of the page

python -m cases         writes it
"""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from domain import DOCS, ID, spelled_out, tables, tables_in
from scenario import FOLDER, Engine, Scenario, stories

PAGE = DOCS / "cases.md"
INPUTS = "inputs (deviation from base)"
NOT_YET, NOT_IN_THE_PRODUCT = "not yet", "not in the product"
CORE = "core"
ENGINES = (CORE, *(engine.value for engine in Engine))
ENGINE_OF_TESTS = {
    "batch": Engine.BATCH.value,
    "broker": Engine.KAFKA.value,
    "matching": CORE,
    "rules": CORE,
    "intake": CORE,
    "test_sourcebook.py": CORE,
}
"""Where the tests of a folder run; of any other folder in the stream."""
_PATH = re.compile(r"`((?:tests|prometheus)/[^`]+|test_\w+\.py)`")
INTRODUCTION = """# The cases

What a trade reconciliation engine must mean, row by row of [DOMAIN.md](DOMAIN.md), 6.2, and where it holds. This page
is generated from the stories in `tests/scenarios` and from the table of what no story covers, in its README.

| Engine | How the stories run in it |
|---|---|
| core | the pure functions, in every order of the messages (`tests/test_scenarios.py`) |
| batch | `traderecon reconcile` over files, by the vectorized rules and by the core (`tests/story/test_batch.py`) |
| stream | the agents on the embedded log, in many orders, and `traderecon worker` (`tests/story`) |
| kafka | `traderecon worker` on a Kafka broker (`tests/broker/test_stories.py`) |

Stories with other rules than the founding ones run in a worker process and on Kafka at night, everything else with
every change. **full**: the whole row holds there. **no**: the product lacks a part of it, which the last column names.
**n/a**: the row cannot be shown there; the last column says why, or which tests show it elsewhere.

"""


class Standing(StrEnum):
    """Whether a row holds in an engine."""

    FULL = "full"
    NO = "no"
    NOT_APPLICABLE = "n/a"


class Uncovered(NamedTuple):
    """A row, or a part of it, that no story covers, with the reason; ``part`` is empty for the whole row."""

    part: str
    reason: str

    @property
    def missing(self) -> bool:
        """Whether the product lacks it; otherwise the reason names tests."""
        return self.reason.startswith(NOT_IN_THE_PRODUCT)

    @property
    def tests(self) -> list[str]:
        """The files that are named."""
        return _PATH.findall(self.reason)


class Case(NamedTuple):
    """One row of the domain: its stories by name, and what they do not cover."""

    row: str
    text: str
    told: dict[str, Scenario]
    uncovered: list[Uncovered]

    def standing(self, engine: str) -> Standing:
        """Whether the row holds in an engine."""
        reasons = [] if engine == CORE else [it.not_in.get(Engine(engine), "") for it in self.told.values()]
        if any(part.missing for part in self.uncovered) or any(reason.startswith(NOT_YET) for reason in reasons):
            return Standing.NO
        if not self.told:
            tested = {engine_of(test) for part in self.uncovered for test in part.tests}
            return Standing.FULL if engine in tested else Standing.NOT_APPLICABLE
        return Standing.NOT_APPLICABLE if reasons and all(reasons) else Standing.FULL

    @property
    def notes(self) -> list[str]:
        """What falls short, and why; each thing once."""
        parts = [f"{part.part}: {part.reason}" if part.part else part.reason for part in self.uncovered]
        engines: defaultdict[str, list[str]] = defaultdict(list)
        for story in self.told.values():
            for engine, reason in story.not_in.items():
                if engine not in engines[reason]:
                    engines[reason].append(engine)
        return [*parts, *(f"{', '.join(names)}: {reason}" for reason, names in engines.items())]


def engine_of(test: str) -> str:
    """Where the tests of a file run.

    >>> engine_of("tests/broker/test_pipeline_day.py"), engine_of("tests/web/test_pages.py")
    ('kafka', 'stream')
    """
    return ENGINE_OF_TESTS.get(test.removeprefix("tests/").split("/")[0], Engine.STREAM.value)


@cache
def cases() -> list[Case]:
    """Every row, in the order of the domain."""
    (rows,) = (table for table in tables("6.2") if INPUTS in table[0])
    told, parts = stories_by_row(), uncovered_by_row()
    found = []
    for row in rows:
        if not (ids := spelled_out(row["id"])):
            continue
        boundary = spelled_out(row[INPUTS]) if row[INPUTS].startswith("rows ") else []
        names = {name: story for it in (*ids, *boundary) for name, story in told.get(it, {}).items()}
        found.append(Case(row["id"], row[INPUTS], names, [part for it in ids for part in parts.get(it, [])]))
    return found


def stories_by_row() -> dict[str, dict[str, Scenario]]:
    """The stories whose names begin with the id of a row."""
    told: defaultdict[str, dict[str, Scenario]] = defaultdict(dict)
    for name, story in stories().items():
        if begins := re.match(rf"({ID.pattern})[a-z]?-", name):
            told[begins[1]][name] = story
    return told


def uncovered_by_row() -> dict[str, list[Uncovered]]:
    """The table of tests/scenarios/README.md, by row."""
    parts: defaultdict[str, list[Uncovered]] = defaultdict(list)
    (table,) = (rows for rows in tables_in((FOLDER / "README.md").read_text(encoding="utf-8")) if "Rows" in rows[0])
    for row in table:
        for name in spelled_out(row["Rows"]):
            parts[name].append(Uncovered(row["Part"], row["Reason"]))
    return parts


def page() -> str:
    """The whole page."""
    lines = [
        ("Row", "Case", *ENGINES, "Stories", "What falls short"),
        ("---",) * (len(ENGINES) + 4),
        *(
            (
                case.row,
                case.text,
                *(case.standing(engine).value for engine in ENGINES),
                str(len(case.told) or ""),
                "; ".join(case.notes),
            )
            for case in cases()
        ),
    ]
    return INTRODUCTION + _totals(cases()) + "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _totals(rows: Sequence[Case]) -> str:
    counts = {engine: Counter(case.standing(engine) for case in rows) for engine in ENGINES}
    lines = [("Engine", *Standing), ("---",) * (len(Standing) + 1)]
    lines += [(engine, *(str(counts[engine][standing]) for standing in Standing)) for engine in ENGINES]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"Of {len(rows)} rows:\n\n{table}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}\n")
