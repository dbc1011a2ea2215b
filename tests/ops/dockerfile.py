"""A Dockerfile as a list of instructions, and its build stage carried out in a folder instead of an image.

There is no engine here. What the build stage does needs none: it copies files that .dockerignore lets through and runs
commands; the folder stands for the image's root.
"""

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ops.live import ROOT

DOCKERFILE = ROOT / "docker" / "Dockerfile"
IGNORE = ROOT / ".dockerignore"
KNOWN = frozenset(
    {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "RUN", "USER", "VOLUME", "WORKDIR"}
)


class Instruction(NamedTuple):
    """One instruction: its word, and the rest of it on one line."""

    word: str
    rest: str


def instructions(text: str) -> list[Instruction]:
    """The instructions in order; comments are gone and continued lines joined. ValueError on a word that is none."""
    without_comments = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", without_comments)
    found = [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]
    for instruction in found:
        if instruction.word not in KNOWN:
            raise ValueError(f"{instruction.word} is no instruction that is expected here: {instruction.rest}")
    return found


def stages() -> list[list[Instruction]]:
    """The stages of our Dockerfile, each from its FROM on."""
    parted: list[list[Instruction]] = []
    for instruction in instructions(DOCKERFILE.read_text()):
        if instruction.word == "FROM":
            parted.append([])
        parted[-1].append(instruction)
    return parted


def sent(path: str) -> bool:
    """Whether .dockerignore lets a file of the repository into a build: the last pattern that fits decides."""
    let = True
    for line in IGNORE.read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        wanted = pattern.startswith("!")
        if _fits(path, pattern.removeprefix("!")):
            let = wanted
    return let


def _fits(path: str, pattern: str) -> bool:
    """Whether a pattern names a file, or a folder it is in. ``**/`` stands for any depth."""
    parts = PurePosixPath(path).parts
    if pattern.startswith("**/"):
        return any(fnmatch(part, pattern[3:]) for part in parts)
    depth = len(PurePosixPath(pattern).parts)
    return len(parts) >= depth and all(map(fnmatch, parts, PurePosixPath(pattern).parts))


class Folder:
    """A folder that stands for an image's root while a stage is carried out in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._working = root
        # As in python:3.11-slim: one python on the PATH, no environment around it.
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("TRADERECON_", "PYTHON"))}
        python = root / "base"
        python.mkdir(parents=True)
        (python / "python").symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
        # Byte code is for the image's later starts: here it is half of the time and nobody's.
        self.environment = {**bare, "PATH": f"{python}:/usr/bin:/bin", "PIP_NO_COMPILE": "1"}

    def carry_out(self, stage: list[Instruction]) -> None:
        """Every instruction of a stage, in order; AssertionError with its words when a command fails."""
        for instruction in stage:
            match instruction:
                case Instruction("FROM", _):
                    pass
                case Instruction("ENV", rest):
                    said = dict(pair.split("=", 1) for pair in rest.split())
                    # What fetched files are kept for the next image is this machine's own affair.
                    said.pop("PIP_NO_CACHE_DIR", None)
                    self.environment.update(said)
                case Instruction("WORKDIR", rest):
                    self._working = self.inside(rest)
                    self._working.mkdir(parents=True)
                case Instruction("COPY", rest):
                    *sources, target = rest.split()
                    self._copy(sources, target)
                case Instruction("RUN", rest):
                    self.run(re.sub(r"(?<=\s)/(?=opt/|wheels)", f"{self.root}/", f" {rest}"))
                case _:
                    raise ValueError(f"the build stage is not expected to have {instruction}")

    def inside(self, path: str) -> Path:
        """Where a path of the image is."""
        return self.root / path.removeprefix("/")

    def run(self, command: str, *, at: Path | None = None) -> str:
        """What a shell command says, both streams; in the working directory unless told."""
        done = subprocess.run(
            ["sh", "-euc", command],
            cwd=at or self._working,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def _copy(self, sources: list[str], target: str) -> None:
        for source in sources:
            named = ROOT / source
            assert named.exists(), f"COPY {source}: there is none"
            files = [path for path in named.rglob("*") if path.is_file()] if named.is_dir() else [named]
            into_folder = target.endswith("/")
            for path in files:
                if not sent(path.relative_to(ROOT).as_posix()):
                    continue
                place = self._working / target
                if named.is_dir():
                    place /= path.relative_to(named)
                elif into_folder:
                    place /= named.name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
            assert any(sent(path.relative_to(ROOT).as_posix()) for path in files), f".dockerignore keeps {source} out"
