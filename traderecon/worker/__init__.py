"""Worker: its processes, its home directory, its identity, its memory and disk, and the housekeeping of its log."""
