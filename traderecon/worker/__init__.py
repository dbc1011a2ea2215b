"""Worker: its processes, home directory, identity, memory and disk, and the retention of its embedded log."""
