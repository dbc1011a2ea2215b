"""The fault matrix of docs/faults.md, and the tests that automate it: ``@pytest.mark.matrix("K9", "B7")``.

    rows() -> Row(row, fault, promise, tested_by, not_tested)        automated() -> {"K9": [Named(file, name)], ...}

python -m faults          writes the tests that there are into the page's column "Tested by"
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "faults.md"
COUNTS = {"K": 14, "Z": 9, "B": 16, "T": 6, "S": 14, "D": 12, "C": 6, "P": 11}
"""How many rows each group of the matrix has."""
MATRIX = tuple(f"{group}{number}" for group, count in COUNTS.items() for number in range(1, count + 1))

_NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
_LINE = re.compile(r"^\| ([A-Z]\d+) \|(.*)\|$", re.MULTILINE)


class Named(NamedTuple):
    """A test function: its file below tests/, and its name; ``nightly``: all of it."""

    file: str
    name: str
    nightly: bool = False


class Row(NamedTuple):
    """One line of the page; ``not_tested`` says what is not, and why."""

    row: str
    fault: str
    promise: str
    tested_by: Sequence[Named]
    not_tested: str


def rows(text: str | None = None) -> list[Row]:
    """The lines of the page."""
    page = PAGE.read_text(encoding="utf-8") if text is None else text
    return [_row(match[1], match[2]) for match in _LINE.finditer(page)]


def automated() -> Mapping[str, list[Named]]:
    """Every test of the tree that automates a row, by row, sorted."""
    tests: defaultdict[str, list[Named]] = defaultdict(list)
    for test, row in sorted(set(_marked())):
        tests[row].append(test)
    return tests


def written(text: str, tests: Mapping[str, Sequence[Named]]) -> str:
    """The page with these tests in it."""

    def line(match: re.Match[str]) -> str:
        row = _row(match[1], match[2])
        named = ", ".join(f"`{test.file}::{test.name}`" for test in tests.get(row.row, ()))
        cells = (row.row, row.fault, row.promise, named, row.not_tested)
        return "| " + " | ".join(cells).replace("|  |", "| |").rstrip() + " |"

    return _LINE.sub(line, text)


def _row(row: str, rest: str) -> Row:
    fault, promise, tested_by, not_tested = (cell.strip() for cell in rest.split("|"))
    return Row(row, fault, promise, [Named(*named) for named in _NAMED.findall(tested_by)], not_tested)


def _marked() -> Iterator[tuple[Named, str]]:
    """Every test with each row of its marker."""
    for path in TESTS.rglob("test_*.py"):
        file = str(path.relative_to(TESTS))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                nightly = any(ast.unparse(decorator) == "pytest.mark.nightly" for decorator in node.decorator_list)
                for decorator in node.decorator_list:
                    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.matrix":
                        named = Named(file, node.name, nightly=nightly)
                        yield from ((named, ast.literal_eval(row)) for row in decorator.args)


def main() -> None:
    """Bring the page up to date; prints how many rows are automated."""
    tests = automated()
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), tests), encoding="utf-8")
    sys.stdout.write(f"{len(tests)} of {len(MATRIX)} rows are automated\n")


if __name__ == "__main__":
    main()
