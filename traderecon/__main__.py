"""``python -m traderecon``: the command."""

from traderecon.cli import main

main()
