"""``traderecon``, with a bug built in where one is asked for, and quicker to be missed by its groups.

python -m torture.pipeline_worker [--bug NAME] [--session SECONDS] -- worker ...
"""

import sys

from torture.reported_clock import report_clock


def run(words: list[str]) -> None:
    """Build the bug in, and be the command."""
    end = words.index("--")
    ours = dict(zip(words[:end:2], words[1:end:2], strict=True))
    report_clock()
    from torture.pipeline_bugs import BUGS
    from traderecon.cli import main
    from traderecon.transport.app import StreamApp, Timing

    if "--session" in ours:
        defaults = StreamApp.__init__.__kwdefaults__
        assert defaults
        defaults["timing"] = Timing(session_s=float(ours["--session"]))
    if "--bug" in ours:
        BUGS[ours["--bug"]]()
    sys.argv[1:] = words[end + 1 :]
    main()


if __name__ == "__main__":
    run(sys.argv[1:])
