"""``traderecon audit``: verify the database against its hash chains and checkpoints, and prove one trade."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path

import click
import msgspec

from traderecon.addresses import EMBEDDED
from traderecon.audit import verify_proof
from traderecon.audit.checkpoint_files import NAME, CheckpointSet, read
from traderecon.audit.database import open_for_audit
from traderecon.audit.evidence import CheckpointSource, compare_sources, from_anchor, from_files, merge_sources, newest
from traderecon.audit.findings import Finding, Kind
from traderecon.audit.proof import ProofError, make_proof
from traderecon.audit.signing import Keys, Signer, SigningKeyError, make_key, name_of
from traderecon.audit.verify import AuditReport, examine
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, printable, progress, say
from traderecon.cli.files import fail_to_write
from traderecon.client.connection import connected
from traderecon.clock import now_ns
from traderecon.durable import create
from traderecon.exit_codes import Exit
from traderecon.records.formats import OtherFormat
from traderecon.records.instants import iso
from traderecon.rulebook import rules_in_force
from traderecon.rules import FOUNDING
from traderecon.settings import ConfigurationError, Settings, load
from traderecon.sink.database import StoreError
from traderecon.topics import topics
from traderecon.transport.log.open_log import NAME as LOG_NAME

SHOWN = 20
"""Findings printed on a terminal; ``--json`` has more."""
PROOF = "proof.json"

CHECKPOINTS = click.option(
    "--checkpoints",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help=f"Checkpoint file; may be repeated. Default: {NAME} in the data directory.",
)

PUBLIC_KEYS = click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    help="Public key that checkpoints must be signed with, or a file with one; may be repeated. Default: that of "
    "TRADERECON_CHECKPOINT_KEY_FILE.",
)


@click.group()
def audit() -> None:
    """Verify the database against its chains, and prove a trade."""


@audit.command()
@CHECKPOINTS
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File written by `audit anchor`: each of its checkpoints must still exist; may be repeated.",
)
@PUBLIC_KEYS
@click.option("--offline", is_flag=True, help="Do not read the checkpoints topic: for a backup without its log.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def verify(
    *,
    files: tuple[Path, ...],
    anchors: tuple[Path, ...],
    public_keys: tuple[str, ...],
    offline: bool,
    as_json: bool,
) -> None:
    """Verify every chain of the database from its start. Changes nothing; workers may run.

    Compares the checkpoints in the file, the topic and the anchors with each other and with the database. Exit code 0
    if everything is as it was committed, else 1, with a line for every row that is not.
    """
    settings = _settings()
    keys = _keys(settings, public_keys)
    file = _file(settings, files)
    topic = None if offline else _topic(settings, {*file.databases, *_databases(settings)})
    anchored = [_read_anchor(path) for path in anchors]
    checkpoints = merge_sources(file, topic, anchored)
    try:
        with open_for_audit(settings.database_url) as connection:
            total = _size(connection)
            with progress(total, "verifying") as advance:
                examined = examine(connection, checkpoints, advance, compare_sources(file, topic, anchored, keys))
    except StoreError as error:
        fail(error.code, error.message)
    except sqlite3.DatabaseError as error:  # its tables cannot be read
        examined = AuditReport(
            intact=False,
            rows=0,
            trades=0,
            checkpoints=0,
            chains=[],
            found=1,
            findings=[Finding(kind=Kind.DAMAGED, text=f"{settings.database_url}: {error}")],
        )
    for line in checkpoints.undecoded[:SHOWN]:
        say(f"{line} is not a checkpoint and was ignored: it was truncated when written, or changed since")
    if len(checkpoints.undecoded) > SHOWN:
        say(f"... and {counted(len(checkpoints.undecoded) - SHOWN, 'more line')}")
    _warn_about_signatures(file, keys)
    if offline:
        say("the checkpoints topic was not read: checkpoints removed from the file go unnoticed")
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(examined), default=repr))
    else:
        _print(examined)
    if not examined.intact:
        fail(Exit.BREAKS, f"{counted(examined.found, 'finding')}: see docs/audit.md for their meaning and what to do")


@audit.command()
@click.option("--out", type=click.Path(path_type=Path), help="New file. Default: stdout.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a line per checkpoint.")
def anchor(*, out: Path | None, as_json: bool) -> None:
    """Write the newest checkpoint of every chain.

    Keep the output where nobody with access to this machine can change it. `audit verify --anchor FILE` then detects
    every change to older rows. Exit code 1 if there is no checkpoint.
    """
    settings = _settings()
    checkpoints = newest(_source("the file", [settings.data_dir / NAME]).checkpoint_set)
    if not checkpoints:
        fail(Exit.BREAKS, f"{settings.data_dir / NAME}: no checkpoint yet: a worker writes one once it has stored rows")
    lines = b"".join(checkpoint.line + b"\n" for checkpoint in checkpoints)
    content = msgspec.json.encode({"at": iso(now_ns()), "checkpoints": checkpoints}) + b"\n" if as_json else lines
    if out is None:
        click.echo(content, nl=False)
        return
    try:
        create(out, content)
    except OSError as error:
        fail_to_write(out, error)
    say(f"{out}: {counted(len(checkpoints), 'chain head')}")


@audit.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def key(*, file: Path, as_json: bool) -> None:
    """Create a key that signs checkpoints.

    Writes the private key to a new FILE that only you can read, and prints the public key.
    Set TRADERECON_CHECKPOINT_KEY_FILE to FILE where the sink runs, and give the public key to those who verify.
    """
    try:
        public = make_key(file)
    except OSError as error:
        fail_to_write(file, error)
    click.echo(json.dumps({"file": str(file), "public_key": public, "name": name_of(public)}) if as_json else public)
    say(
        f"{file}: private key, named {name_of(public)} in checkpoints: keep it out of the data directory and out of "
        "backups"
    )


@audit.command()
@click.argument("trade")
@CHECKPOINTS
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help=f"A directory for {PROOF} and {verify_proof.__name__.rpartition('.')[2]}.py, or a .json file, with the script "
    "next to it. Default: the proof on stdout.",
)
def prove(*, trade: str, files: tuple[Path, ...], out: Path | None) -> None:
    """Write a proof of the results of one TRADE.

    It can be checked without this software: `python3 -I verify_proof.py proof.json`. It contains the trade's results
    and rules, and only the digests of the rows up to the next checkpoint.
    """
    settings = _settings()
    checkpoints = _checkpoints(settings, files)
    try:
        with open_for_audit(settings.database_url) as connection:
            proof = make_proof(connection, trade, checkpoints, _rules(settings), iso(now_ns()))
    except StoreError as error:
        fail(error.code, error.message)
    except ProofError as error:
        fail(Exit.BREAKS, printable(str(error)))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        fail(Exit.BREAKS, f"the rows of {trade!r} were changed ({error!r}): run `traderecon audit verify`")
    except sqlite3.DatabaseError as error:
        fail(Exit.BREAKS, f"{settings.database_url}: damaged ({error}): run `traderecon audit verify`")
    if proof is None:
        fail(
            Exit.INPUT,
            f"{settings.database_url} has no result of a trade {trade!r}: it is pending, rejected (`traderecon "
            "dead-letters list`), or misspelt",
        )
    if out is None:
        click.echo(proof, nl=False)
        return
    file = out if out.suffix == ".json" else out / PROOF
    if file.exists():
        fail_to_write(file, FileExistsError())
    script = Path(verify_proof.__file__)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(proof)
        (file.parent / script.name).write_bytes(script.read_bytes())
    except OSError as error:
        fail_to_write(Path(error.filename or file), error)
    say(f"{file}: {len(proof):,} bytes; python3 -I {file.parent / script.name} {file}")
    if any(chain["until"]["from"] != "checkpoint" for chain in json.loads(proof)["proof"]["chains"]):
        say("it is newer than the last checkpoint: prove it again in two minutes to compare it with checkpoints")


def _settings() -> Settings:
    try:
        return load()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))


def _checkpoints(settings: Settings, files: tuple[Path, ...]) -> CheckpointSet:
    default = settings.data_dir / NAME
    if not files and not default.exists():
        say(f"{default}: no checkpoints there: a truncated or recomputed chain cannot be detected")
        return CheckpointSet()
    try:
        checkpoints = read(files or [default])
    except OtherFormat as error:
        fail(Exit.CONFIG, f"among the checkpoints is {error}")
    except OSError as error:
        fail(Exit.INPUT, f"{error.filename}: cannot be read ({error.strerror})")
    if files and not checkpoints.count:
        fail(Exit.INPUT, f"{', '.join(map(str, files))}: no line is a checkpoint, so there is nothing to compare with")
    return checkpoints


def _source(name: str, files: Sequence[Path]) -> CheckpointSource:
    try:
        return from_files(name, files)
    except OtherFormat as error:
        fail(Exit.CONFIG, f"among the checkpoints is {error}")
    except OSError as error:
        fail(Exit.INPUT, f"{error.filename}: cannot be read ({error.strerror})")


def _read_anchor(file: Path) -> CheckpointSource:
    try:
        source = from_anchor(f"the anchor {file}", file)
    except OtherFormat as error:
        fail(Exit.CONFIG, f"{file}: has {error}")
    except OSError as error:
        fail(Exit.INPUT, f"{file}: cannot be read ({error.strerror})")
    if not source.checkpoint_set.count:
        fail(Exit.INPUT, f"{file}: no line is a checkpoint, so there is nothing to compare with")
    return source


def _file(settings: Settings, files: tuple[Path, ...]) -> CheckpointSource:
    """The checkpoints of these files, or of the file in the data directory, which may be missing."""
    default = settings.data_dir / NAME
    if not files and not default.exists():
        say(f"{default}: there is no such file")
        return CheckpointSource(NAME)
    source = _source(NAME if not files else "the checkpoint files", files or [default])
    if files and not source.checkpoint_set.count:
        fail(Exit.INPUT, f"{', '.join(map(str, files))}: no line is a checkpoint, so there is nothing to compare with")
    return source


def _databases(settings: Settings) -> list[str]:
    """All ids the database has had; none if it cannot be read, which is reported elsewhere."""
    with suppress(StoreError, sqlite3.DatabaseError), open_for_audit(settings.database_url) as connection:
        return [str(row[0]) for row in connection.execute("SELECT database_id FROM database_ids")]
    return []


def _topic(settings: Settings, databases: Collection[str]) -> CheckpointSource:
    """The checkpoints of these databases in the topic, which several databases may share.

    Ends the command with 4 or 78 if the log cannot be read.
    """

    async def read() -> CheckpointSource:
        name = topics(settings.topic_prefix).checkpoints
        source = CheckpointSource(f"the topic {name}", databases)
        async with connected(settings) as client:
            for partition in range((await client.topics()).get(name, 0)):
                async for records in client.read(name, partition):
                    for record in records:
                        source.add(record.value or b"", f"{name}[{partition}] offset {record.offset}")
        return source

    if settings.broker.startswith(EMBEDDED) and not (settings.data_dir / LOG_NAME).exists():
        fail(
            Exit.UNREACHABLE,
            f"{settings.data_dir}: has no log, so its checkpoints cannot be compared with the topic: give --offline to "
            "skip that",
        )
    try:
        return run(read())
    except OtherFormat as error:
        fail(Exit.CONFIG, f"among the checkpoints of the topic is {error}")


def _keys(settings: Settings, public_keys: tuple[str, ...]) -> Keys:
    try:
        if not public_keys and settings.checkpoint_key_file is not None:
            public_keys = (Signer.of(settings.checkpoint_key_file).public,)
        return Keys.of(public_keys)
    except SigningKeyError as error:
        fail(Exit.CONFIG, str(error))


def _warn_about_signatures(file: CheckpointSource, keys: Keys) -> None:
    if file.unsigned:
        say(
            f"{file.unsigned:,} of {file.signed + file.unsigned:,} checkpoints are not signed: anyone with write "
            "access to the file and the topic can forge them"
        )
    if file.signed and not keys.by_name:
        say(f"{file.signed:,} checkpoints are signed, but no public key is known here: give --public-key")


def _rules(settings: Settings) -> dict[str, str]:
    """The text, by sha256, of the rules known here: the effective and the founding ones."""
    encode = msgspec.json.Encoder(order="sorted").encode
    try:
        all_rules = [FOUNDING, rules_in_force(settings)]
    except ConfigurationError as error:
        say(f"{error}: the proof does not include their text")
        all_rules = [FOUNDING]
    return {rules.stamp().sha256: encode(rules).decode() for rules in all_rules}


def _size(connection: sqlite3.Connection) -> int:
    """About how many steps the verification takes."""
    with closing(
        connection.execute("SELECT (SELECT max(id) FROM result_history), (SELECT max(id) FROM dead_letters)")
    ) as cursor:
        results, dead_letters = cursor.fetchone()
    return 2 * (results if isinstance(results, int) else 0) + (dead_letters if isinstance(dead_letters, int) else 0)


def _print(examined: AuditReport) -> None:
    for chain in examined.chains:
        checkpoint = f", last checkpoint {chain.checkpoint}" if chain.checkpoint else ", no checkpoint"
        click.echo(
            printable(f"{chain.topic}[{chain.partition}]: {counted(chain.rows, 'row')}, head {chain.head}{checkpoint}")
        )
    for finding in examined.findings[:SHOWN]:
        click.echo(printable(str(finding)))
    if examined.found > SHOWN:
        click.echo(f"... and {examined.found - SHOWN:,} more findings: use --json to see the first of them")
    for start in examined.beginnings:
        click.echo(
            printable(
                f"{start.topic}[{start.partition}]: complete from {start.complete_from} (offset {start.first_offset}): "
                "older records had expired when this database was created"
            )
        )
    if examined.purged:
        click.echo(f"{examined.purged:,} rows were purged: their chains are intact, their content is gone")
    if examined.intact:
        click.echo(
            f"intact: {counted(examined.rows, 'row')} in {counted(len(examined.chains), 'chain')}, "
            f"{counted(examined.trades, 'trade')}, {counted(examined.checkpoints, 'checkpoint')}"
        )
