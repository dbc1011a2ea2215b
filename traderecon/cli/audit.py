"""``traderecon audit``: whether the database is what was committed to it, and the proof of one trade."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path

import click
import msgspec

from traderecon.addresses import EMBEDDED
from traderecon.audit import verify_proof
from traderecon.audit.checkpoint_files import NAME, Known, read
from traderecon.audit.database import looked_at
from traderecon.audit.evidence import Source, compared, from_anchor, from_files, held, newest
from traderecon.audit.findings import Finding, Kind
from traderecon.audit.proof import Unproven, proof_of
from traderecon.audit.signing import Keys, KeyTrouble, Signer, make_key, name_of
from traderecon.audit.verify import Examined, examine
from traderecon.cli.broker import run
from traderecon.cli.console import counted, fail, printable, progress, say
from traderecon.cli.files import unwritten
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
"""So many findings are printed; ``--json`` has more."""
PROOF = "proof.json"

CHECKPOINTS = click.option(
    "--checkpoints",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help=f"Files of checkpoints, several if you like. Default: {NAME} in the data directory.",
)

PUBLIC_KEYS = click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    help="A public key that checkpoints must be signed with, or a file of one, several if you like. Default: that of "
    "TRADERECON_CHECKPOINT_KEY_FILE.",
)


@click.group()
def audit() -> None:
    """Audit: every row against its chain, and evidence of one trade."""


@audit.command()
@CHECKPOINTS
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What `audit anchor` wrote: each of its checkpoints must still be there.",
)
@PUBLIC_KEYS
@click.option("--offline", is_flag=True, help="Leave the topic of checkpoints alone: for a backup, where no log is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def verify(
    *,
    files: tuple[Path, ...],
    anchors: tuple[Path, ...],
    public_keys: tuple[str, ...],
    offline: bool,
    as_json: bool,
) -> None:
    """Walk every chain of the database from its start. Nothing is written, workers may run.

    Checkpoints of the file, of the topic and of anchors are held against each other and against the database. Exit
    code 0 where everything is as it was committed, else 1, with each row that is not.
    """
    settings = _settings()
    keys = _keys(settings, public_keys)
    file = _file(settings, files)
    topic = None if offline else _topic(settings, {*file.databases, *_databases(settings)})
    anchored = [_anchor(path) for path in anchors]
    checkpoints = held(file, topic, anchored)
    try:
        with looked_at(settings.database_url) as connection:
            total = _size(connection)
            with progress(total, "verifying") as advance:
                examined = examine(connection, checkpoints, advance, compared(file, topic, anchored, keys))
    except StoreError as error:
        fail(error.code, error.sentence)
    except sqlite3.DatabaseError as error:  # not even its tables can be read
        examined = Examined(
            intact=False,
            rows=0,
            trades=0,
            checkpoints=0,
            chains=[],
            found=1,
            findings=[Finding(kind=Kind.DAMAGED, text=f"{settings.database_url}: {error}")],
        )
    for line in checkpoints.unread[:SHOWN]:
        say(f"{line} is no checkpoint: cut off when it was written, or changed since; passed over")
    if len(checkpoints.unread) > SHOWN:
        say(f"... and {counted(len(checkpoints.unread) - SHOWN, 'more line')}")
    _say_of_signatures(file, keys)
    if offline:
        say("the topic of checkpoints was not looked at: what was removed from the file is not found")
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(examined), default=repr))
    else:
        _print(examined)
    if not examined.intact:
        fail(Exit.BREAKS, f"{counted(examined.found, 'finding')}: docs/audit.md says what each means, and what to do")


@audit.command()
@click.option("--out", type=click.Path(path_type=Path), help="A new file. Default: stdout.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, not a line for each.")
def anchor(*, out: Path | None, as_json: bool) -> None:
    """Write the newest checkpoint of every chain.

    Keep it where nobody who reaches this machine does.
    `audit verify --anchor FILE` finds whatever was changed before. Exit code 1 where there is no checkpoint.
    """
    settings = _settings()
    found = newest(_source("the file", [settings.data_dir / NAME]).known)
    if not found:
        fail(
            Exit.BREAKS, f"{settings.data_dir / NAME}: no checkpoint yet: a worker writes the first when it has stored"
        )
    lines = b"".join(one.line + b"\n" for one in found)
    content = msgspec.json.encode({"at": iso(now_ns()), "checkpoints": found}) + b"\n" if as_json else lines
    if out is None:
        click.echo(content, nl=False)
        return
    try:
        create(out, content)
    except OSError as error:
        unwritten(out, error)
    say(f"{out}: {counted(len(found), 'head')} of chains")


@audit.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def key(*, file: Path, as_json: bool) -> None:
    """Make a key that signs checkpoints.

    It is written to a new FILE that only you can read; its public key is printed.
    Name it in TRADERECON_CHECKPOINT_KEY_FILE where the sink runs, and give the public key to whoever verifies.
    """
    try:
        public = make_key(file)
    except OSError as error:
        unwritten(file, error)
    click.echo(json.dumps({"file": str(file), "public_key": public, "name": name_of(public)}) if as_json else public)
    say(
        f"{file}: a private key, called {name_of(public)} in checkpoints: keep it out of the data directory and "
        "of its backups"
    )


@audit.command()
@click.argument("trade")
@CHECKPOINTS
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help=f"Where to write: a directory ({PROOF} and {verify_proof.__name__.rpartition('.')[2]}.py in it), or a .json "
    "file with the script beside it. Default: the proof on stdout.",
)
def prove(*, trade: str, files: tuple[Path, ...], out: Path | None) -> None:
    """Write what it takes to check the results of one TRADE without us.

    The proof holds the trade's results and rules, and of the rows between them and the next checkpoint the digests
    only. `python3 -I verify_proof.py proof.json` checks it.
    """
    settings = _settings()
    checkpoints = _checkpoints(settings, files)
    try:
        with looked_at(settings.database_url) as connection:
            proof = proof_of(connection, trade, checkpoints, _rules(settings), iso(now_ns()))
    except StoreError as error:
        fail(error.code, error.sentence)
    except Unproven as error:
        fail(Exit.BREAKS, printable(str(error)))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        fail(Exit.BREAKS, f"what is stored of {trade!r} is not what was ({error!r}): run `traderecon audit verify`")
    except sqlite3.DatabaseError as error:
        fail(Exit.BREAKS, f"{settings.database_url}: damaged ({error}): run `traderecon audit verify`")
    if proof is None:
        fail(
            Exit.INPUT,
            f"{settings.database_url} has no result of a trade {trade!r}: it is pending, rejected "
            "(`traderecon dead-letters list`), or not spelt so",
        )
    if out is None:
        click.echo(proof, nl=False)
        return
    file = out if out.suffix == ".json" else out / PROOF
    if file.exists():
        unwritten(file, FileExistsError())
    script = Path(verify_proof.__file__)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(proof)
        (file.parent / script.name).write_bytes(script.read_bytes())
    except OSError as error:
        unwritten(Path(error.filename or file), error)
    say(f"{file}: {len(proof):,} bytes; python3 -I {file.parent / script.name} {file}")
    if any(chain["until"]["from"] != "checkpoint" for chain in json.loads(proof)["proof"]["chains"]):
        say("it is newer than the last checkpoint: to be compared with checkpoints, prove it again in two minutes")


def _settings() -> Settings:
    try:
        return load()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))


def _checkpoints(settings: Settings, files: tuple[Path, ...]) -> Known:
    default = settings.data_dir / NAME
    if not files and not default.exists():
        say(f"{default}: no checkpoints there: a chain whose end was cut off, or that was made anew, is not found")
        return Known()
    try:
        known = read(files or [default])
    except OtherFormat as error:
        fail(Exit.CONFIG, f"among the checkpoints is {error}")
    except OSError as error:
        fail(Exit.INPUT, f"{error.filename}: cannot be read ({error.strerror})")
    if files and not known.count:
        fail(Exit.INPUT, f"{', '.join(map(str, files))}: no line is a checkpoint, so there is nothing to compare with")
    return known


def _source(name: str, files: Sequence[Path]) -> Source:
    try:
        return from_files(name, files)
    except OtherFormat as error:
        fail(Exit.CONFIG, f"among the checkpoints is {error}")
    except OSError as error:
        fail(Exit.INPUT, f"{error.filename}: cannot be read ({error.strerror})")


def _anchor(file: Path) -> Source:
    try:
        source = from_anchor(f"the anchor {file}", file)
    except OtherFormat as error:
        fail(Exit.CONFIG, f"{file}: has {error}")
    except OSError as error:
        fail(Exit.INPUT, f"{file}: cannot be read ({error.strerror})")
    if not source.known.count:
        fail(Exit.INPUT, f"{file}: no line is a checkpoint, so there is nothing to compare with")
    return source


def _file(settings: Settings, files: tuple[Path, ...]) -> Source:
    """The checkpoints of the files that are named, or of the one in the data directory, which may be gone."""
    default = settings.data_dir / NAME
    if not files and not default.exists():
        say(f"{default}: there is no such file")
        return Source(NAME)
    source = _source(NAME if not files else "the files of checkpoints", files or [default])
    if files and not source.known.count:
        fail(Exit.INPUT, f"{', '.join(map(str, files))}: no line is a checkpoint, so there is nothing to compare with")
    return source


def _databases(settings: Settings) -> list[str]:
    """The ids the database has had; none where it cannot be read, which is said elsewhere."""
    with suppress(StoreError, sqlite3.DatabaseError), looked_at(settings.database_url) as connection:
        return [str(row[0]) for row in connection.execute("SELECT database_id FROM database_ids")]
    return []


def _topic(settings: Settings, databases: Collection[str]) -> Source:
    """The checkpoints of the topic that are of these databases: it has those of others as well.

    Ends the command where the log cannot be read: 4 or 78.
    """

    async def read() -> Source:
        name = topics(settings.topic_prefix).checkpoints
        source = Source(f"the topic {name}", databases)
        async with connected(settings) as client:
            for partition in range((await client.topics()).get(name, 0)):
                async for records in client.read(name, partition):
                    for record in records:
                        source.add(record.value or b"", f"{name}[{partition}] offset {record.offset}")
        return source

    if settings.broker.startswith(EMBEDDED) and not (settings.data_dir / LOG_NAME).exists():
        fail(
            Exit.UNREACHABLE,
            f"{settings.data_dir}: has no log, so its checkpoints cannot be compared with the topic: with --offline "
            "they are not",
        )
    try:
        return run(read())
    except OtherFormat as error:
        fail(Exit.CONFIG, f"among the checkpoints of the topic is {error}")


def _keys(settings: Settings, given: tuple[str, ...]) -> Keys:
    try:
        if not given and settings.checkpoint_key_file is not None:
            given = (Signer.of(settings.checkpoint_key_file).public,)
        return Keys.of(given)
    except KeyTrouble as error:
        fail(Exit.CONFIG, str(error))


def _say_of_signatures(file: Source, keys: Keys) -> None:
    if file.unsigned:
        say(
            f"{file.unsigned:,} of {file.signed + file.unsigned:,} checkpoints are not signed: who can write the file "
            "and the topic can make them anew"
        )
    if file.signed and not keys.by_name:
        say(f"{file.signed:,} checkpoints are signed, and no public key is known here: --public-key names one")


def _rules(settings: Settings) -> dict[str, str]:
    """The rules whose text is known here: those in force, and the founding ones."""
    encode = msgspec.json.Encoder(order="sorted").encode
    try:
        known = [FOUNDING, rules_in_force(settings)]
    except ConfigurationError as error:
        say(f"{error}: the proof goes without their text")
        known = [FOUNDING]
    return {rules.stamp().sha256: encode(rules).decode() for rules in known}


def _size(connection: sqlite3.Connection) -> int:
    with closing(
        connection.execute("SELECT (SELECT max(id) FROM result_history), (SELECT max(id) FROM dead_letters)")
    ) as found:
        results, letters = found.fetchone()
    return 2 * (results if isinstance(results, int) else 0) + (letters if isinstance(letters, int) else 0)


def _print(examined: Examined) -> None:
    for chain in examined.chains:
        told = f", last checkpoint {chain.checkpoint}" if chain.checkpoint else ", no checkpoint"
        click.echo(
            printable(f"{chain.topic}[{chain.partition}]: {counted(chain.rows, 'row')}, head {chain.head}{told}")
        )
    for finding in examined.findings[:SHOWN]:
        click.echo(printable(str(finding)))
    if examined.found > SHOWN:
        click.echo(f"... and {examined.found - SHOWN:,} more findings: --json has the first of them")
    for one in examined.beginnings:
        click.echo(
            printable(
                f"{one.topic}[{one.partition}]: complete from {one.complete_from} (offset {one.first_offset}): "
                "what was before had expired when this database began"
            )
        )
    if examined.purged:
        click.echo(f"{examined.purged:,} rows were purged: their chains are whole, what they said is gone")
    if examined.intact:
        click.echo(
            f"intact: {counted(examined.rows, 'row')} in {counted(len(examined.chains), 'chain')}, "
            f"{counted(examined.trades, 'trade')}, {counted(examined.checkpoints, 'checkpoint')}"
        )
