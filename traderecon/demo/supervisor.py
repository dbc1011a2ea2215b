"""The supervisor: runs one worker as a child process, and restarts it when it could not keep a guarantee.

The child's stdin is a pipe from this process: the worker exits when this process ends, however it ends.
"""

import subprocess
import sys
from time import monotonic

from traderecon.exit_codes import Exit

WINDOW_S = 60.0
MAX_STARTS = 5
"""The worker is given up after this many starts within ``WINDOW_S``."""
STOP_TIMEOUT_S = 40.0


class Supervisor:
    """Keeps ``traderecon worker`` running on ``port``, with the settings of this process."""

    def __init__(self, port: int | None) -> None:
        self._command = [sys.executable, "-m", "traderecon", "worker", "--tied", "--loglevel", "error"]
        self._command += ["--port", str(port)] if port else []
        self._starts: list[float] = []
        self._worker = self._start()

    def poll(self) -> int | None:
        """Restart the worker if it exited with 70 or was killed; its exit code if a restart does not help."""
        code = self._worker.poll()
        if code is None:
            return None
        self._starts = [at_s for at_s in self._starts if monotonic() - at_s < WINDOW_S]
        if (code > 0 and code != Exit.SOFTWARE) or len(self._starts) >= MAX_STARTS:
            return code if code > 0 else Exit.SOFTWARE
        sys.stderr.write(f"the worker ended with exit code {code}: restarting it\n")
        self._worker = self._start()
        return None

    def stop(self) -> None:
        """Stop the worker cleanly; kill it if it takes too long."""
        self._worker.terminate()
        try:
            self._worker.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            self._worker.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        self._starts.append(monotonic())
        # In its own session, so that Ctrl-C reaches only this process, which stops the worker cleanly.
        # S603: the command has no outside input.
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
