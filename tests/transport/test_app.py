"""A StreamApp has no part of Faust's that acknowledges in Faust's way."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import traderecon

PRODUCT = Path(traderecon.__file__).parent
BROKERS = ["kafka://127.0.0.1:1", "embedded://"]

# In its own process: a consumer that never starts leaves its event loop open.
PARTS = """
import asyncio, json, sys
from pathlib import Path
from faust.transport import by_url
from traderecon.transport.app import StreamApp

async def parts():
    app = StreamApp("parts", broker=sys.argv[1], data_dir=Path(sys.argv[2]))
    agent = app.agent(app.topic("in"))(lambda batches: batches)
    found = {
        "consumer": app._new_consumer(),
        "producer": app._new_producer(),
        "transport": app.transport,
        "agent": agent,
        "stream": app.stream(app.topic("in")),
        "tables": app.tables,
        "recovery": app.tables.recovery,
    }
    names = {part: [kind.__name__ for kind in type(value).mro()] for part, value in found.items()}
    names["fetcher"] = [kind.__name__ for kind in app.transport.Fetcher.mro()]
    names["scheme"] = [by_url(sys.argv[1]).__module__]
    print(json.dumps(names))

asyncio.run(parts())
"""

STOCK = """
import asyncio, sys
from pathlib import Path
from faust.transport.drivers.aiokafka import Transport
from traderecon.transport.app import StreamApp
from yarl import URL

async def ask():
    app = StreamApp("stock", broker="kafka://127.0.0.1:1", data_dir=Path(sys.argv[1]))
    app.transport = Transport([URL("kafka://127.0.0.1:1")], app)
    app._new_consumer()

asyncio.run(ask())
"""

TWO = """
import sys
from pathlib import Path
from traderecon.transport.app import StreamApp
app = StreamApp("two", broker="kafka://127.0.0.1:1", data_dir=Path(sys.argv[1]))
app.agent(app.topic("in"), concurrency=2)(lambda batches: batches)
"""


def python(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("broker", BROKERS)
def test_every_part_is_ours(broker: str, tmp_path: Path) -> None:
    process = python(PARTS, broker, tmp_path)
    assert process.returncode == 0, process.stderr
    parts = json.loads(process.stdout)
    expected = {
        "consumer": "BatchConsumer",
        "producer": "BatchProducer",
        "agent": "BatchAgent",
        "stream": "BatchStream",
        "tables": "BatchTableManager",
        "recovery": "RangeRecovery",
        "fetcher": "BatchFetcher",
    }
    assert {part: name for part, name in expected.items() if name not in parts[part]} == {}
    assert parts["scheme"][0].startswith("traderecon.transport.")


def test_a_stock_consumer_is_refused(tmp_path: Path) -> None:
    process = python(STOCK, tmp_path)
    assert "is not a BatchConsumer" in process.stderr
    assert process.returncode != 0


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    process = python(TWO, tmp_path)
    assert "use 1 and False" in process.stderr
    assert process.returncode != 0


def made_apps(tree: ast.AST) -> Iterator[int]:
    """Line numbers that create an app of Faust's own class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"faust.App", "App"}:
            yield node.lineno


def test_nothing_in_the_product_makes_another_app() -> None:
    files = [*PRODUCT.rglob("*.py"), *(PRODUCT.parent / "tables").rglob("*.py")]
    assert {str(path): found for path in files if (found := list(made_apps(ast.parse(path.read_text()))))} == {}
    assert list(made_apps(ast.parse("app = faust.App('x')"))) == [1]


LOG_LINE = """
import asyncio, logging, sys
from pathlib import Path
from mode.utils.logging import setup_logging
from traderecon.transport.app import StreamApp

async def log():
    app = StreamApp("parts", broker="embedded://", data_dir=Path(sys.argv[1]))
    setup_logging(loglevel="info", logging_config=dict(app.conf.logging_config))
    logging.getLogger("traderecon").info("a line")

asyncio.run(log())
"""


def test_a_log_line_does_not_end_with_a_blank(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOG_LINE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("a line\n")
