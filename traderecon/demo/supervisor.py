"""The supervisor: one worker as a child of this process; started again when it could not keep a promise.

The worker is tied to us by a pipe: when this process ends, however it ends, the worker does too.
"""

import subprocess
import sys
from time import monotonic

from traderecon.exit_codes import Exit

PATIENT_S = 60.0
MOST_STARTS = 5
"""More of them within ``PATIENT_S`` are no accident."""
STOP_S = 40.0


class Supervisor:
    """Keeps ``traderecon worker`` running, on ``port``, under our own settings."""

    def __init__(self, port: int | None) -> None:
        self._command = [sys.executable, "-m", "traderecon", "worker", "--tied", "--loglevel", "error"]
        self._command += ["--port", str(port)] if port else []
        self._starts: list[float] = []
        self._worker = self._started()

    def look(self) -> int | None:
        """Start a worker again that could not keep a promise, or was ended; its exit code where that is no use."""
        code = self._worker.poll()
        if code is None:
            return None
        self._starts = [at_s for at_s in self._starts if monotonic() - at_s < PATIENT_S]
        if (code > 0 and code != Exit.SOFTWARE) or len(self._starts) >= MOST_STARTS:
            return code if code > 0 else Exit.SOFTWARE
        sys.stderr.write(f"the worker ended with exit code {code} and is started again\n")
        self._worker = self._started()
        return None

    def stop(self) -> None:
        """End the worker in order; by force when it takes too long."""
        self._worker.terminate()
        try:
            self._worker.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            self._worker.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        self._starts.append(monotonic())
        # A session of its own: Ctrl-C is for us, and we end the worker in order. Our own interpreter and words: S603.
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
