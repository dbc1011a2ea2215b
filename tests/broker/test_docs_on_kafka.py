"""The commands of the documents that need a Kafka, run on one as they are on the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from broker.kafka_server import Kafka, reserved
from doc_pages import ROOT, Needs, scripts
from pipeline_case import Installation
from tiers import nightly_but

from traderecon.settings import PREFIX

PATIENCE_S = 300
WORKER_ENDS = 'trap "kill %1; wait %1" EXIT\n'
PAGES = {str(page.relative_to(ROOT)): block for page, block in scripts(Needs.A_KAFKA) if "topics create" in block}


def in_the_background(script: str) -> str:
    """A reader's second terminal: the worker goes on running until the script has ended."""
    return re.sub(r"^(traderecon worker)( .*)?$", rf"\1 &\n{WORKER_ENDS}", script, flags=re.MULTILINE)


@pytest.mark.parametrize("page", nightly_but("README.md", sorted(PAGES)))
def test_the_commands_of_a_page_run_on_a_kafka(page: str, kafka: Kafka, installation: Installation) -> None:
    """The one example that goes on until it is stopped is given an end."""
    script = in_the_background(PAGES[page]).replace("localhost:9092", kafka.address)
    script = script.replace("simulate --rate 100", "simulate --rate 100 --trades 200")
    with reserved() as port:
        environment = {
            **{name: value for name, value in installation.environment.items() if name != f"{PREFIX}BROKER"},
            f"{PREFIX}WEB_PORT": str(port.getsockname()[1]),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
    log = installation.directory / "log"
    with log.open("w") as output:
        done = subprocess.run(
            ["bash", "-emc", f"{script}\nuntil grep -q 'TradeRecon is at' log; do sleep 0.2; done"],
            cwd=installation.directory,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=PATIENCE_S,
        )
    assert done.returncode == 0, log.read_text()
