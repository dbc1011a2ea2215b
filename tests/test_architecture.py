"""The shape of the product: who imports whom, what the exact part never touches, what an import never does."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from graphlib import TopologicalSorter
from pathlib import Path

import oracle
import pytest

import traderecon

ROOT = Path(traderecon.__file__).parent
MAX_LINES = 400

CORE = {"records", "rules", "matching", "intake"}

MAY_IMPORT = {
    "records": set(),
    "rules": {"records"},
    "matching": {"records", "rules"},
    "intake": {"records"},
    "present": {"records", "matching"},
    "batch": {"records", "rules", "matching", "intake", "present"},
    "simulator": {"records", "intake"},
    "topics": {"records"},
    "transport": {"addresses", "clock", "durable", "topics"},
    "client": {"addresses", "clock", "durable", "settings", "topics", "transport"},
    "tables": {"durable", "records", "transport"},
    "telemetry": {"records", "transport"},
    "sink": {"addresses", "records", "telemetry", "topics", "transport", "clock"},
    "web": {"records", "rules", "present", "sink", "telemetry", "transport", "clock", "open_files"},
    "audit": {"addresses", "client", "records", "sink", "topics", "transport", "durable"},
    "shell": {*CORE, "tables", "telemetry", "topics", "transport", "clock", "durable", "sink", "stage", "audit"},
    "stage": {"telemetry", "topics", "transport"},
    "clock": set(),
    "addresses": set(),
    "kubernetes": set(),
    "exit_codes": set(),
    "permissions": set(),
    "settings": {"addresses", "kubernetes", "permissions"},
    "rulebook": {"records", "rules", "settings", "transport"},
    "source_tables": {"intake", "records", "rules"},
    "sourcebook": {"intake", "records", "rulebook", "rules", "settings", "source_tables", "transport"},
    "durable": set(),
    "open_files": set(),
    "worker": {"addresses", "audit", "client", "clock", "durable", "records", "settings", "sink", "tables"}
    | {"telemetry", "topics", "transport"},
    "preflight": {"addresses", "audit", "client", "clock", "open_files", "permissions", "records", "rulebook"}
    | {"settings", "sourcebook", "sink", "topics", "transport", "worker"},
    "demo": {"client", "clock", "durable", "preflight", "records", "rulebook", "settings", "simulator", "sink"}
    | {"topics", "transport"},
    "__main__": {"cli"},
    "app": {"addresses", "audit", "client", "rulebook", "settings", "shell", "sink", "sourcebook", "stage"}
    | {"telemetry", "topics", "transport", "web", "worker"},
    "cli": {*CORE, "addresses", "app", "audit", "batch", "client", "clock", "demo", "durable", "open_files"}
    | {"preflight", "present", "rulebook", "settings", "simulator", "sink", "sourcebook", "topics", "transport"}
    | {"worker"},
}
"""Dependencies point one way; stages do not import each other. A new part gets a line here.

A stage is a pure core and a shell: its agent and what that alone uses, and those are a part of their own.
"""

SHELL = {
    "agent",
    "batch_output",
    "journal_time",
    "namesakes",
    "prepared",
    "retention",
    "published_results",
    "silences",
    "status_report",
}

PURE = ("records", "rules", "matching", "intake")
EXACT = (*PURE, "batch")

PURE_LIBRARIES = {
    "ast",
    "base64",
    "bisect",
    "calendar",
    "collections",
    "csv",
    "zoneinfo",
    "datetime",
    "decimal",
    "difflib",
    "enum",
    "functools",
    "hashlib",
    "holidays",
    "itertools",
    "json",
    "msgspec",
    "re",
    "tomllib",
    "types",
    "typing",
    "unicodedata",
}
"""What the pure core imports besides itself: values in, values out."""

CLOCKS = {"now", "utcnow", "today", "time_ns", "localtime", "gmtime"}
FLOATING = {"math", "cmath", "statistics", "numpy"}
BINARY = {"Float32", "Float64", "total_seconds", "fromtimestamp", "utcfromtimestamp", "perf_counter", "truediv"}
BLURRY_NAMES = {"data", "item", "items", "process", "manager", "utils", "util", "helpers", "common", "misc"}


def sources() -> dict[str, str]:
    """Every module of the product by its dotted name."""
    return {
        ".".join((*package, *path.relative_to(folder).with_suffix("").parts)): path.read_text()
        for package, folder in ((("traderecon",), ROOT), (("traderecon", "tables"), ROOT.parent / "tables"))
        for path in sorted(folder.rglob("*.py"))
    }


SOURCES = sources()
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}


def part_of(module: str) -> str:
    """The part of the product a module belongs to: the name below ``traderecon``, or ``shell`` where it is of one."""
    names = module.split(".")
    return "shell" if names[-1] in SHELL else names[1]


def of(*parts: str) -> list[str]:
    return [name for name in SOURCES if part_of(name) in parts]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module a module imports, wherever in it; a relative import starts with its points."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def binary_floats(tree: ast.AST, *, joins_paths: bool = False) -> Iterator[str]:
    """What makes or might make a binary float; a ``/`` with text on its right joins a path."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Name(id="float" | "complex" | "round" as name):
                yield f"{node.lineno}: {name}"
            case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str()) | ast.JoinedStr()) if joins_paths:
                pass
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield f"{node.lineno}: /"
            case ast.Attribute(attr=name) | ast.alias(name=name) if name in BINARY | FLOATING:
                yield f"{node.lineno}: {name}"
            case ast.ImportFrom(module=str(name)) if name in FLOATING:
                yield f"{node.lineno}: {name}"
            case ast.Call(func=ast.Attribute(attr="timestamp")):
                yield f"{node.lineno}: timestamp()"
            case ast.Call(func=ast.Attribute(attr="loads", value=ast.Name(id="json")), keywords=keywords):
                if "parse_float" not in {keyword.arg for keyword in keywords}:
                    yield f"{node.lineno}: json.loads without parse_float"


def clock_readings(tree: ast.AST) -> Iterator[str]:
    """Where the wall clock is read."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if name in CLOCKS:
                yield f"{node.lineno}: {name}"
            case ast.Attribute(attr="time", value=ast.Name(id="time")):
                yield f"{node.lineno}: time.time"
            case ast.ImportFrom(module="time", names=names) if {alias.name for alias in names} & {*CLOCKS, "time"}:
                yield f"{node.lineno}: from time"


def environment_readings(tree: ast.AST) -> Iterator[str]:
    """Where the environment is read."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="environ" | "environb" | "getenv" | "getenvb" as name):
                yield f"{node.lineno}: {name}"
            case ast.ImportFrom(module="os", names=names):
                yield from (f"{node.lineno}: {alias.name}" for alias in names if "env" in alias.name)


@pytest.mark.parametrize("module", SOURCES)
def test_every_part_imports_only_what_it_may(module: str) -> None:
    part = part_of(module)
    if part == "__init__":
        return
    assert part in MAY_IMPORT, f"{part} is new: say in MAY_IMPORT what it may import"
    allowed = MAY_IMPORT[part] | {part} | ({"__version__", "exit_codes"} if part not in PURE else set())
    inside = {name for name in imports(TREES[module]) if name.split(".")[0] == "traderecon"}
    assert {name for name in inside if part_of(name) not in allowed} == set()


def test_no_modules_import_each_other() -> None:
    """Not even within functions, and not round several corners."""
    modules = {name.removesuffix(".__init__"): tree for name, tree in TREES.items()}
    graph: dict[str, set[str]] = {}
    for name, tree in modules.items():
        found = {one if one in modules else one.rpartition(".")[0] for one in imports(tree)}
        graph[name] = (found & modules.keys()) - {name}
    TopologicalSorter(graph).prepare()  # CycleError names them


@pytest.mark.parametrize("module", of(*PURE))
def test_the_core_is_pure(module: str) -> None:
    outside = {name.split(".")[0] for name in imports(TREES[module])} - {"traderecon"}
    assert outside <= PURE_LIBRARIES


@pytest.mark.parametrize("module", of(*EXACT))
def test_no_binary_float_between_the_wire_and_the_verdict(module: str) -> None:
    assert list(binary_floats(TREES[module], joins_paths=part_of(module) not in PURE)) == []


@pytest.mark.parametrize("module", [name for name in SOURCES if part_of(name) != "clock"])
def test_only_the_clock_reads_the_wall_clock(module: str) -> None:
    assert list(clock_readings(TREES[module])) == []


@pytest.mark.parametrize("module", [name for name in SOURCES if part_of(name) != "settings"])
def test_only_settings_reads_the_environment(module: str) -> None:
    assert list(environment_readings(TREES[module])) == []


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_says_what_it_is_and_stays_small(module: str) -> None:
    docstring = ast.get_docstring(TREES[module])
    assert docstring, "a module starts with what it is"
    assert docstring.splitlines()[0]
    assert len(SOURCES[module].splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_is_named_by_a_noun_of_the_desk(module: str) -> None:
    assert not BLURRY_NAMES & set(module.split("."))


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WATCHED_IMPORTS = """
import importlib, json, os, sys, threading
import croniter  # Faust imports it, and it asks by a subprocess what it runs on: not a deed of ours
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
DEEDS = {
    "subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system",
    "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chdir",
    "socket.connect", "socket.bind", "sqlite3.connect", "signal.pthread_kill",
}
done = []
def watch(event, arguments):
    if event in DEEDS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES):
        done.append(f"{event} {arguments[0]!r}")
sys.addaudithook(watch)
for module in sys.argv[1:]:
    before = len(done)
    importlib.import_module(module)
    done.extend(f"thread {thread.name!r}" for thread in threading.enumerate() if thread is not threading.main_thread())
    done[before:] = [f"{module}: {deed}" for deed in done[before:]]
print(json.dumps(done))
"""


def test_nothing_happens_on_import() -> None:
    modules = [name.removesuffix(".__init__") for name in SOURCES if not name.endswith("__main__")]
    assert json.loads(run(WATCHED_IMPORTS, *modules)) == []


def test_and_the_watch_would_see_it(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(
        "import threading\n"
        f"open({str(tmp_path / 'trace')!r}, 'w').close()\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    deeds = json.loads(run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{WATCHED_IMPORTS}", "busy"))
    assert [deed.split(" ")[1] for deed in deeds] == ["open", "thread"]


def test_what_a_worker_loads_starts_no_thread() -> None:
    """It forks: a thread would be gone in the forks, with whatever lock it holds."""
    loads = "import os, faust, traderecon.app, traderecon.preflight, traderecon.worker.processes, traderecon.cli.worker"
    count = "print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", f"{loads}; {count}"], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_what_is_installed_is_what_is_here() -> None:
    listed = ConfigParser()
    listed.read(ROOT.parent / "setup.cfg")
    packages = {name.removesuffix(".__init__") for name in SOURCES if name.endswith(".__init__")}
    assert listed["options"]["packages"].split() == sorted(packages)


def test_the_package_itself_imports_nothing() -> None:
    program = "import sys; before = set(sys.modules); import traderecon; print(sorted(set(sys.modules) - before))"
    assert run(program).strip() == "['traderecon']"


def test_the_oracle_knows_nothing_of_what_it_judges() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text())
    assert {name.split(".")[0] for name in imports(tree)} == {
        "re",
        "collections",
        "dataclasses",
        "fractions",
        "unicodedata",
    }
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in {"__import__", "exec"}]


FORBIDDEN: dict[str, tuple[Callable[[ast.AST], Iterator[str]], list[str]]] = {
    "binary floats": (
        binary_floats,
        [
            "limit = 0.005",
            "z = 1j",
            "def f(x: float): ...",
            "float('1')",
            "a / b",
            "path / 'name'",
            "a /= 2",
            "round(a)",
            "import math",
            "from math import sqrt",
            "import statistics as s",
            "moment.timestamp()",
            "(a - b).total_seconds()",
            "pl.Float64",
            "time.perf_counter()",
            "from time import perf_counter",
            "json.loads(text)",
        ],
    ),
    "clocks": (
        clock_readings,
        [
            "time.time()",
            "time.time_ns()",
            "from time import time",
            "from time import time_ns as now",
            "datetime.now(UTC)",
            "datetime.datetime.utcnow()",
            "date.today()",
            "time.localtime()",
        ],
    ),
    "the environment": (
        environment_readings,
        ["os.environ['X']", "os.getenv('X')", "from os import environ", "from os import getenv as get"],
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_rules_see_what_they_forbid(what: str) -> None:
    rule, samples = FORBIDDEN[what]
    assert [sample for sample in samples if not list(rule(ast.parse(sample)))] == []


def test_and_nothing_else() -> None:
    fine = ast.parse(
        "a // b\na % b\nDecimal('0.5')\nleg.timestamp\n'x'.join(names)\ntime.monotonic()\nos.cpu_count()\n"
        "json.loads(text, parse_float=str)\nnow_ns()\n"
    )
    assert [*binary_floats(fine), *clock_readings(fine), *environment_readings(fine)] == []
    joins = ast.parse("folder / 'rows'\nfolder / f'part-{n}'")
    assert list(binary_floats(joins, joins_paths=True)) == []
    assert list(binary_floats(ast.parse("folder / count"), joins_paths=True)) == ["1: /"]
    assert list(imports(ast.parse("import a.b\nfrom c import d\nfrom . import e"))) == ["a.b", "c.d", "..e"]
