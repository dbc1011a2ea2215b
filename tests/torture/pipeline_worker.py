"""``traderecon`` with a seeded bug and a shorter session timeout, if asked for.

python -m torture.pipeline_worker [--bug NAME] [--session SECONDS] -- worker ...
"""

import sys

from torture.reported_clock import report_clock


def run(arguments: list[str]) -> None:
    """Install the bug, then run the command."""
    end = arguments.index("--")
    options = dict(zip(arguments[:end:2], arguments[1:end:2], strict=True))
    report_clock()
    from torture.pipeline_bugs import BUGS
    from traderecon.cli import main
    from traderecon.transport.app import StreamApp, Timing

    if "--session" in options:
        defaults = StreamApp.__init__.__kwdefaults__
        assert defaults
        defaults["timing"] = Timing(session_s=float(options["--session"]))
    if "--bug" in options:
        BUGS[options["--bug"]]()
    sys.argv[1:] = arguments[end + 1 :]
    main()


if __name__ == "__main__":
    run(sys.argv[1:])
