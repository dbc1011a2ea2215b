"""The harness and its oracles import nothing of the product."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def imports(path: Path) -> Iterator[str]:
    """Every module that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def harness() -> list[str]:
    """The modules that the command imports, directly or not; workloads are started, not imported."""
    modules: set[str] = set()
    pending = {"__main__"}
    while pending:
        modules |= pending
        names = {name for module in pending for name in imports(HERE / f"{module}.py")}
        pending = {name.removeprefix("torture.") for name in names if name.startswith("torture.")} - modules
    return sorted(modules)


def test_the_modules_of_the_harness_are_found() -> None:
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
def test_the_harness_imports_neither_the_product_nor_faust(module: str) -> None:
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
def test_pure_modules_import_only_the_standard_library_and_each_other(module: str) -> None:
    each_other = {f"torture.{name}" for name in PURE} | {"oracle"}
    others = set(imports(HERE / f"{module}.py")) - each_other
    assert {name.split(".")[0] for name in others} <= sys.stdlib_module_names
