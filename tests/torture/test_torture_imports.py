"""The judge shares nothing with the judged."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def imports(path: Path) -> Iterator[str]:
    """Every module a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def harness() -> list[str]:
    """The modules of the harness: what the command imports, and what that imports; the workloads it only starts."""
    found: set[str] = set()
    waiting = {"__main__"}
    while waiting:
        found |= waiting
        names = {name for module in waiting for name in imports(HERE / f"{module}.py")}
        waiting = {name.removeprefix("torture.") for name in names if name.startswith("torture.")} - found
    return sorted(found)


def test_the_harness_is_all_there() -> None:
    assert {
        "oracle",
        "pipeline_oracle",
        "pipeline_evidence",
        "plan",
        "faults",
        "workers",
        "feeder",
        "report",
        "stage",
    } <= set(harness())
    assert not {"counting", "counting_stock", "pipeline_worker", "simulated"} & set(harness())


@pytest.mark.parametrize("module", harness())
def test_the_harness_imports_nothing_of_the_product_or_of_faust(module: str) -> None:
    first_names = {name.split(".")[0] for name in imports(HERE / f"{module}.py")}
    assert not {"traderecon", "tables", "faust", "mode"} & first_names


PURE = (
    "completeness",
    "findings",
    "oracle",
    "plan",
    "pipeline_input",
    "pipeline_evidence",
    "pipeline_logs",
    "pipeline_oracle",
)


@pytest.mark.parametrize("module", PURE)
def test_the_oracles_and_the_plan_import_the_standard_library_and_each_other_only(module: str) -> None:
    each_other = {f"torture.{name}" for name in PURE} | {"oracle"}
    others = set(imports(HERE / f"{module}.py")) - each_other
    assert {name.split(".")[0] for name in others} <= sys.stdlib_module_names
