"""The image: what its Dockerfile says, and its build stage carried out for real in a folder. No engine runs here."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ops.dockerfile import Folder, Instruction, instructions, sent, stages

from traderecon.settings import PREFIX, Settings


def last_stage(word: str) -> list[str]:
    """What the instructions of one word say in the stage that is kept."""
    return [instruction.rest for instruction in stages()[-1] if instruction.word == word]


def environment() -> dict[str, str]:
    """What the image sets."""
    return dict(pair.split("=", 1) for rest in last_stage("ENV") for pair in rest.split())


def files(folder: Path) -> list[Path]:
    return [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]


# One test, for its half a minute is needed once.
@pytest.mark.nightly
def test_what_the_build_stage_makes_is_whole_and_runs_where_no_source_is(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "image")
    folder.carry_out(stages()[0])  # a new environment from the hashes, and the wheel of this tree in it

    (installed,) = folder.inside("/opt/traderecon/lib").glob("python3*/site-packages/traderecon")
    wanted = [*files(folder.inside("/source/traderecon"))]
    wanted += [Path("tables") / path for path in files(folder.inside("/source/tables")) if path.suffix == ".py"]
    missing = sorted(str(path) for path in wanted if not (installed / path).is_file())
    assert missing == [], "setup.cfg does not name their package, or these files of it"

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = "import traderecon, traderecon.tables as tables; print(traderecon.__file__, tables.__file__)"
    imported = folder.run(f"{folder.root}/opt/traderecon/bin/python -c '{program}'", at=elsewhere)
    assert all(Path(path).is_relative_to(installed) for path in imported.split())
    assert "reconcile" in folder.run(f"{folder.root}/opt/traderecon/bin/traderecon --help", at=elsewhere)


def test_only_what_the_image_is_built_from_is_sent() -> None:
    assert all(map(sent, ("LICENSE", "requirements/run.txt", "tables/store.py", "traderecon/cli/__init__.py")))
    kept = (".env", ".git/config", ".venv/bin/python", "demo/report.html", "requirements/dev.txt", "secrets/password")
    assert not [path for path in kept if sent(path)]
    assert not sent("traderecon/cli/__pycache__/talk.cpython-311.pyc")
    assert not sent("traderecon-data/traderecon.db")


def test_the_dockerfile_has_a_build_stage_and_an_image_of_one_base() -> None:
    bases = [instruction.rest.split()[0] for stage in stages() for instruction in stage[:1]]
    assert bases == ["python:3.11-slim"] * 2


@pytest.mark.matrix("P9")
def test_everything_that_is_fetched_has_its_hash() -> None:
    runs = [instruction.rest for stage in stages() for instruction in stage if instruction.word == "RUN"]
    installs = [install for run in runs for install in re.findall(r"pip (?:install|wheel)[^&]*", run)]
    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-deps" in install for install in installs)
    assert all("--no-build-isolation" in install for install in installs if install.startswith("pip wheel"))


def test_the_image_runs_as_an_arbitrary_user() -> None:
    (user,) = last_stage("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number: an orchestrator can see that it is not root"
    words = [instruction.word for instruction in stages()[-1]]
    assert words.index("USER") > words.index("RUN")


def test_the_image_keeps_what_it_must_and_has_no_source_where_it_runs() -> None:
    assert last_stage("VOLUME") == [environment()["TRADERECON_DATA_DIR"]] == ["/data"]
    assert last_stage("WORKDIR") == ["/etc/traderecon"]
    assert last_stage("COPY") == ["--from=build /opt/traderecon /opt/traderecon"]
    assert [json.loads(rest) for rest in last_stage("ENTRYPOINT")] == [["traderecon"]]
    assert last_stage("EXPOSE") == [environment()["TRADERECON_WEB_PORT"]]


def test_the_image_sets_only_what_is_a_setting() -> None:
    ours = {name.removeprefix(PREFIX).lower() for name in environment() if name.startswith(PREFIX)}
    assert ours <= set(Settings.model_fields)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_healthcheck_asks_whether_the_worker_lives(status: int, healthy: bool) -> None:
    asked: list[str] = []

    class Worker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    (check,) = last_stage("HEALTHCHECK")
    python, *arguments = json.loads(check.partition("CMD ")[2])
    with HTTPServer(("127.0.0.1", 0), Worker) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "TRADERECON_WEB_PORT": str(server.server_port)},
            capture_output=True,
            check=False,
        )
        answering.join()
    assert python == "python"
    assert asked == ["/healthz/live"]
    assert (done.returncode == 0) is healthy


def test_the_reader_of_dockerfiles_reads() -> None:
    text = "# a\nFROM x AS y\nRUN one \\\n    && two\n\nUSER 1:1\n"
    assert instructions(text) == [
        Instruction("FROM", "x AS y"),
        Instruction("RUN", "one && two"),
        Instruction("USER", "1:1"),
    ]
    with pytest.raises(ValueError, match="RUNN"):
        instructions("RUNN x")
