"""``traderecon``, with a bug built in where one is asked for.

python -m torture.pipeline_worker [--bug NAME] -- worker ...
"""

import sys

from torture.pipeline_bugs import BUGS
from traderecon.cli import main


def run(words: list[str]) -> None:
    """Build the bug in, and be the command."""
    ours = words[: words.index("--")]
    if ours:
        BUGS[ours[1]]()
    sys.argv[1:] = words[len(ours) + 1 :]
    main()


if __name__ == "__main__":
    run(sys.argv[1:])
