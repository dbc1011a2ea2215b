"""Checks of this machine and its installation: versions, data directory, free disk space, rules file."""

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
from traderecon.audit.signing import Signer, SigningKeyError
from traderecon.permissions import readable_by_everyone
from traderecon.preflight.findings import Finding, bad, ok, warn
from traderecon.rulebook import rules_in_force
from traderecon.settings import ConfigurationError, Settings
from traderecon.sourcebook import sources_in_force
from traderecon.transport import codecs

PINNED = ("faust-streaming", "mode-streaming", "aiokafka", "rocksdict")
"""Packages whose internals are used: another version may lose records."""
OLDEST_SQLITE = (3, 35)
"""The first version with RETURNING."""
WARN_BYTES = 1024**3
FAIL_BYTES = 200 * 1024**2
MIB = 1024**2
SQLITE = "sqlite:///"
REINSTALL = "reinstall from requirements/run.txt"

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^;)]*)\)?(?:;.*)?")
_CLAUSE = re.compile(r"(==|>=|<=|<|>)\s*([0-9][0-9.]*)")


def versions() -> Iterator[Finding]:
    """Whether the pinned packages and SQLite have versions that a worker can use."""
    installed = [f"Python {platform.python_version()}"]
    requirements = _requirements()
    errors = []
    for name in PINNED:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            errors.append(f"{name} is not installed")
            continue
        installed.append(f"{name} {version}")
        if not fits(version, requirements.get(name, "")):
            errors.append(f"{name} is {version}, but must be {requirements[name]}")
    if errors:
        yield bad("versions", "; ".join(errors), REINSTALL)
    else:
        yield ok("versions", ", ".join(installed))
    yield _sqlite_version()


def _sqlite_version() -> Finding:
    version = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        return bad("sqlite", f"{version} is older than {oldest}", "use a Python with a newer SQLite")
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        text = (
            f"{version} has the WAL-reset bug: a database may be corrupted, rarely, when one connection resets the WAL "
            "while another writes (fixed in 3.51.3, 3.50.7 and 3.44.6; a distribution may have backported the fix)"
        )
        return warn("sqlite", text, "install a newer SQLite, and until then run one worker with a sink per database")
    return ok("sqlite", version)


def readable_codecs() -> Iterator[Finding]:
    """Whether every compression codec that a producer, topic or broker may use can be read."""
    if missing := codecs.missing():
        text = f"batches compressed with {', '.join(missing)} cannot be read: the package cramjam is missing or broken"
        yield bad("codecs", text, REINSTALL)
    else:
        yield ok("codecs", f"{', '.join(codecs.NAMES.values())} can be read")


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether a version of SQLite has the WAL-reset bug. Source: sqlite.org/wal.html, section "The WAL-Reset Bug".

    >>> [has_wal_reset_bug(version) for version in ((3, 40, 1), (3, 44, 6), (3, 50, 7), (3, 51, 2), (3, 51, 3))]
    [True, False, False, True, False]
    """
    backported = (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51)
    return (3, 7, 0) <= version < (3, 51, 3) and not backported


def fits(version: str, requirement: str) -> bool:
    """Whether a version satisfies a requirement.

    >>> fits("0.15.3", "==0.15.3"), fits("8.4.1", ">=8.1,<8.4"), fits("0.3.30", ">=0.3.29")
    (True, False, True)
    """
    have = _numbers(version)
    for operator, bound in _CLAUSE.findall(requirement):
        want = _numbers(bound)
        results = {"==": have == want, ">=": have >= want, "<=": have <= want, "<": have < want, ">": have > want}
        if not results[operator]:
            return False
    return True


def files() -> Iterator[Finding]:
    """Whether a worker can open enough files."""
    limit = open_files.limit()
    text = f"a process may open {limit:,} files"
    if limit < open_files.MINIMUM:
        yield bad("open files", text, f"raise the limit: ulimit -n {open_files.RECOMMENDED}")
    elif limit < open_files.RECOMMENDED:
        yield warn("open files", text, f"raise the limit: ulimit -n {open_files.RECOMMENDED}")
    else:
        yield ok("open files", text)


def data_directory(settings: Settings) -> Iterator[Finding]:
    """Whether the data directory is writable and private, and how much space its disk has."""
    directory = settings.data_dir.resolve()
    existing = _nearest_existing(directory)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        text = f"{directory} cannot be written ({error.strerror})"
        yield bad("data directory", text, "set TRADERECON_DATA_DIR to a directory that this user can write")
        return
    missing = "" if existing == directory else " (it does not exist yet; the first command that needs it creates it)"
    yield ok("data directory", f"{directory} can be written{missing}")
    if existing == directory and readable_by_everyone(directory):
        yield warn(
            "data directory",
            f"every user of this machine can read {directory}",
            f"chmod 700 {shlex.quote(str(directory))}",
        )
    yield _disk_space("disk", existing, "TRADERECON_DATA_DIR", settings.min_free_mb)


def database_disk(settings: Settings) -> Iterator[Finding]:
    """How much space the disk of the database has, if it is not the disk of the data directory."""
    if not settings.database_url.startswith(SQLITE):
        return
    folder = _nearest_existing(Path(settings.database_url.removeprefix(SQLITE)).resolve().parent)
    if folder.stat().st_dev != _nearest_existing(settings.data_dir.resolve()).stat().st_dev:
        yield _disk_space("database disk", folder, "TRADERECON_DATABASE_URL", settings.min_free_mb)


def _nearest_existing(path: Path) -> Path:
    """The path itself, or its nearest parent that exists."""
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())


def _disk_space(check: str, folder: Path, setting: str, floor_mb: int) -> Finding:
    free_bytes = shutil.disk_usage(folder).free
    text = f"{free_bytes // MIB:,} MiB free on the disk of {folder}"
    todo = f"free some space, or set {setting} to another disk"
    if free_bytes < min(FAIL_BYTES, floor_mb * MIB // 2):
        return bad(check, f"{text}; a worker stops when the disk is full", todo)
    if free_bytes < floor_mb * MIB:
        return warn(check, f"{text}; intake pauses until {floor_mb:,} MiB are free", todo)
    return warn(check, text, todo) if free_bytes < WARN_BYTES else ok(check, text)


def rules_file(settings: Settings) -> Iterator[Finding]:
    """Whether the rules and the settings of the sources are valid."""
    try:
        rules = rules_in_force(settings)
        sources_in_force(settings)
    except ConfigurationError as error:
        yield bad("rules", str(error))
    else:
        yield ok("rules", f"{rules.name}, from {settings.rules}" if settings.rules else "the founding rules")


def checkpoint_key(settings: Settings) -> Iterator[Finding]:
    """Whether the configured key can sign checkpoints."""
    if (file := settings.checkpoint_key_file) is None:
        return
    try:
        Signer.of(file)
    except SigningKeyError as error:
        yield bad("checkpoint key", f"TRADERECON_CHECKPOINT_KEY_FILE: {error}")
    else:
        yield ok("checkpoint key", f"{file} signs checkpoints")


def _requirements() -> dict[str, str]:
    """The requirements of this distribution: ``{"aiokafka": "==0.14.0", ...}``."""
    try:
        requirements = metadata.requires("traderecon") or []
    except metadata.PackageNotFoundError:
        return {}
    matches = (_REQUIREMENT.fullmatch(line) for line in requirements if "extra ==" not in line)
    return {match[1].lower(): match[2].strip() for match in matches if match}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
