"""Take the README's picture: the overview of a real demo, after its first graces are over.

PYTHONPATH=tests python -m web.picture docs/overview.png        `make picture`
"""

import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from web.chromium import chromium, overview_picture

GRACES_S = 75


def main(to: Path) -> None:
    """Run the demo, wait, take the picture, stop it."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "traderecon", "demo", "--data-dir", directory]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as demo:
            assert demo.stderr is not None
            address = next(found[1] for line in demo.stderr if (found := re.search(r"TradeRecon is at (\S+)/ ", line)))
            threading.Thread(target=demo.stderr.read, daemon=True).start()
            time.sleep(GRACES_S)
            with chromium() as browser:
                overview_picture(browser, address, to)
            demo.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
