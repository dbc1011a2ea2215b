"""``traderecon torture``: break the pipeline on a real Kafka by plan, and judge what is left. For a checkout."""

import os
import sys
from pathlib import Path

import click

from traderecon.cli.console import fail
from traderecon.cli.rules import effective_settings
from traderecon.exit_codes import Exit

_REPORTS = "torture"
_PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); from torture.__main__ import main; sys.exit(main())"


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def torture(*, words: tuple[str, ...]) -> None:
    """Kill workers, stop them, wipe their disks, cut their wires, and judge what is left by an oracle of its own.

    The harness lies in tests/torture of a checkout, and its options are told there: `traderecon torture --help`.
    Reports are kept in the data directory unless --reports names another place.
    """
    tests = Path(__file__).resolve().parents[2] / "tests"
    if not (tests / "torture" / "__main__.py").exists():
        fail(Exit.CONFIG, f"there is no {tests / 'torture'}: torture is for a checkout of the source, not a package")
    ours: tuple[str, ...] = ()
    if words[:1] != ("sum",):
        ours = ("--workload", "pipeline", "--reports", str(effective_settings().data_dir / _REPORTS))
    os.execv(sys.executable, [sys.executable, "-c", _PROGRAM, str(tests), *ours, *words])  # noqa: S606 - the harness takes this process over
