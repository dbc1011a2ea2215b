"""One Kafka on this machine, to try TradeRecon on: one broker, for nothing but that. `make kafka-run` runs this.

python -m broker.run [--port 9092] [--directory .venv/kafka-run]     until Ctrl-C; what it has stored stays
"""

import argparse
import signal
import sys
from pathlib import Path

from broker.kafka_server import JARS, Died, Kafka, Missing
from broker.waiting import Never

PORT = 9092
DIRECTORY = JARS.with_name("kafka-run")
FAILED = 1


def main() -> int:
    """Run it until it is stopped; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m broker.run", description="Run one Kafka broker until Ctrl-C.")
    parser.add_argument("--port", type=int, default=PORT, help="port on localhost (default: %(default)s)")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="what it stores (default: %(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        node = Kafka(options.directory.absolute(), port=options.port)
    except OSError as error:
        return _failed(f"port {options.port} cannot be used ({error.strerror}): does a Kafka run here already?")
    try:
        node.start()
        _say(f"Kafka runs on localhost:{options.port}, and stores in {options.directory}. Ctrl-C stops it.")
        return _failed(f"Kafka ended with {node.wait()}; its log is {node.log}")
    except KeyboardInterrupt:
        _say("stopping Kafka")
        return 0
    except (Missing, Died, Never) as error:
        return _failed(str(error))
    finally:
        node.stop()


def _failed(text: str) -> int:
    _say(text)
    return FAILED


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
