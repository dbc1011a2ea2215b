"""This machine and what is installed on it: versions, the data directory, room on its disk, the rules file."""

import platform
import re
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from traderecon import open_files
from traderecon.audit.signing import KeyTrouble, Signer
from traderecon.preflight.findings import Finding, bad, ok, warn
from traderecon.rulebook import rules_in_force
from traderecon.settings import ConfigurationError, Settings, everybody_reads
from traderecon.transport import codecs

LEANED_ON = ("faust-streaming", "mode-streaming", "aiokafka", "rocksdict")
"""Whose insides we use: another version may lose records."""
OLDEST_SQLITE = (3, 35)
"""The first with RETURNING."""
WARN_BYTES = 1024**3
FAIL_BYTES = 200 * 1024**2
MIB = 1024**2
SQLITE = "sqlite:///"
REINSTALL = "install again from requirements/run.txt"

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^;)]*)\)?(?:;.*)?")
_CLAUSE = re.compile(r"(==|>=|<=|<|>)\s*([0-9][0-9.]*)")


def versions() -> Iterator[Finding]:
    """Whether what we lean on is installed in the version we were tested with."""
    found = [f"Python {platform.python_version()}"]
    asked = _asked()
    wrong = []
    for name in LEANED_ON:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        found.append(f"{name} {version}")
        if not fits(version, asked.get(name, "")):
            wrong.append(f"{name} is {version}, and must be {asked[name]}")
    if wrong:
        yield bad("versions", "; ".join(wrong), REINSTALL)
    else:
        yield ok("versions", ", ".join(found))
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        yield bad("sqlite", f"SQLite {sqlite3.sqlite_version} is older than {oldest}", "use a Python with a newer one")
    elif damages(sqlite3.sqlite_version_info):
        text = (
            f"SQLite {sqlite3.sqlite_version} is among the versions of which its authors publish that a database in "
            "WAL mode may be damaged, rarely, when one connection moves the log while another writes (fixed in 3.51.3, "
            "3.50.7 and 3.44.6; a distribution may have mended its own)"
        )
        yield warn("sqlite", text, "run one worker with a sink on a database, and install a newer SQLite")
    else:
        yield ok("sqlite", f"SQLite {sqlite3.sqlite_version}")


def readable_codecs() -> Iterator[Finding]:
    """Whether every compression a producer, a topic or a broker may use can be read here."""
    if lacking := codecs.missing():
        text = f"batches compressed with {', '.join(lacking)} cannot be read: the package cramjam is missing or broken"
        yield bad("codecs", text, REINSTALL)
    else:
        yield ok("codecs", f"{', '.join(codecs.NAMES.values())} can be read")


def damages(version: tuple[int, ...]) -> bool:
    """Whether a version of SQLite has the WAL-reset bug. Source: sqlite.org/wal.html, section "The WAL-Reset Bug".

    >>> damages((3, 40, 1)), damages((3, 44, 6)), damages((3, 50, 7)), damages((3, 51, 2)), damages((3, 51, 3))
    (True, False, False, True, False)
    """
    mended = (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51)
    return (3, 7, 0) <= version < (3, 51, 3) and not mended


def fits(version: str, asked: str) -> bool:
    """Whether a version is one that a requirement asks for.

    >>> fits("0.15.3", "==0.15.3"), fits("8.4.1", ">=8.1,<8.4"), fits("0.3.30", ">=0.3.29")
    (True, False, True)
    """
    have = _numbers(version)
    for relation, wanted in _CLAUSE.findall(asked):
        want = _numbers(wanted)
        holds = {"==": have == want, ">=": have >= want, "<=": have <= want, "<": have < want, ">": have > want}
        if not holds[relation]:
            return False
    return True


def files() -> Iterator[Finding]:
    """Whether this machine lets a worker open enough files."""
    limit = open_files.limit()
    text = f"a process may open {limit:,} files"
    if limit < open_files.FEWEST:
        yield bad("open files", text, f"raise the limit: ulimit -n {open_files.ENOUGH}")
    elif limit < open_files.ENOUGH:
        yield warn("open files", text, f"raise the limit: ulimit -n {open_files.ENOUGH}")
    else:
        yield ok("open files", text)


def data_directory(settings: Settings) -> Iterator[Finding]:
    """Whether the data directory can be written, and how much room its disk has."""
    directory = settings.data_dir.resolve()
    there = next(path for path in (directory, *directory.parents) if path.exists())
    move = "name a directory that is yours in TRADERECON_DATA_DIR"
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield bad("data directory", f"{directory} cannot be written ({error.strerror})", move)
        return
    made = "" if there == directory else " (not there yet: made by whoever needs it first)"
    yield ok("data directory", f"{directory} can be written{made}")
    if there == directory and everybody_reads(directory):
        yield warn(
            "data directory",
            f"every user of this machine can look into {directory}",
            f"chmod 700 {shlex.quote(str(directory))}",
        )
    yield _room("disk", there, "TRADERECON_DATA_DIR", settings.min_free_mb)


def database_disk(settings: Settings) -> Iterator[Finding]:
    """How much room the disk of the database has, where it is another one than the data directory's."""
    if not settings.database_url.startswith(SQLITE):
        return
    folder = Path(settings.database_url.removeprefix(SQLITE)).resolve().parent
    there = next(path for path in (folder, *folder.parents) if path.exists())
    data = settings.data_dir.resolve()
    beside = next(path for path in (data, *data.parents) if path.exists())
    if there.stat().st_dev != beside.stat().st_dev:
        yield _room("database disk", there, "TRADERECON_DATABASE_URL", settings.min_free_mb)


def _room(check: str, there: Path, setting: str, floor_mb: int) -> Finding:
    free_bytes = shutil.disk_usage(there).free
    text = f"{free_bytes // MIB:,} MiB free where {there} is"
    room = f"make room, or name a directory that is yours in {setting}"
    if free_bytes < min(FAIL_BYTES, floor_mb * MIB // 2):
        return bad(check, f"{text}, and a worker stops when there is none", room)
    if free_bytes < floor_mb * MIB:
        return warn(check, f"{text}: a worker takes in nothing before there are {floor_mb:,}", room)
    return warn(check, text, room) if free_bytes < WARN_BYTES else ok(check, text)


def rules_file(settings: Settings) -> Iterator[Finding]:
    """Whether the rules can be read."""
    try:
        rules = rules_in_force(settings)
    except ConfigurationError as error:
        yield bad("rules", str(error), "mend the file, or name another in TRADERECON_RULES")
    else:
        yield ok("rules", f"{rules.name}, from {settings.rules}" if settings.rules else "the founding rules")


def checkpoint_key(settings: Settings) -> Iterator[Finding]:
    """Whether the key that signs checkpoints can be used, where one is named."""
    if (file := settings.checkpoint_key_file) is None:
        return
    try:
        Signer.of(file)
    except KeyTrouble as error:
        yield bad("checkpoint key", str(error), "correct TRADERECON_CHECKPOINT_KEY_FILE, or leave it out")
    else:
        yield ok("checkpoint key", f"{file} signs checkpoints")


def _asked() -> dict[str, str]:
    """What this distribution requires, by name: ``{"aiokafka": "==0.14.0", ...}``."""
    try:
        requirements = metadata.requires("traderecon") or []
    except metadata.PackageNotFoundError:
        return {}
    matches = (_REQUIREMENT.fullmatch(one) for one in requirements if "extra ==" not in one)
    return {match[1].lower(): match[2].strip() for match in matches if match}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
