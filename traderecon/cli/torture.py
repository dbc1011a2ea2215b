"""``traderecon torture``: fault-injection tests on a real Kafka, from a source checkout."""

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
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def torture(*, arguments: tuple[str, ...]) -> None:
    """Kill and stop workers, wipe their disks, cut their connections, and check the results with an independent oracle.

    The harness is in tests/torture of a checkout; `traderecon torture --help` lists its options. Reports go to the data
    directory unless --reports is given.
    """
    tests = Path(__file__).resolve().parents[2] / "tests"
    if not (tests / "torture" / "__main__.py").exists():
        fail(Exit.CONFIG, f"there is no {tests / 'torture'}: torture needs a source checkout, not an installed package")
    defaults: tuple[str, ...] = ()
    if arguments[:1] != ("sum",):
        defaults = ("--workload", "pipeline", "--reports", str(effective_settings().data_dir / _REPORTS))
    program = [sys.executable, "-c", _PROGRAM, str(tests), *defaults, *arguments]
    os.execv(sys.executable, program)  # noqa: S606 - the harness replaces this process
