"""Make the archive of classes with which a Kafka starts in half the time; `make kafka` runs this once.

python -m broker.class_archive     starts a node, stops it, and leaves its classes beside the jars

A JVM of another version ignores the archive.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from broker.kafka_server import ARCHIVE, Kafka


def main() -> None:
    """Replace the archive, if there is one."""
    ARCHIVE.unlink(missing_ok=True)
    with TemporaryDirectory() as directory:
        made = Path(directory) / ARCHIVE.name
        node = Kafka(Path(directory) / "node", jvm=(f"-XX:ArchiveClassesAtExit={made}",))
        node.start()
        node.stop()
        ARCHIVE.write_bytes(made.read_bytes())


if __name__ == "__main__":
    main()
