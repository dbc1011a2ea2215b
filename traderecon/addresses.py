"""Addresses: brokers, databases and logs as people write them, and as the libraries below need them.

    "kafka://a, b:9093/"  ->  "kafka://a:9092;b:9093"          brokers
    Path("/srv/a#b")     <->  "embedded:///srv/a%23b"          embedded_url, embedded_directory
    Path("a#b.db")       <->  "sqlite:///a%23b.db"             sqlite_url, sqlite_path

The one place where a path becomes a URL or a URL a path. Whatever a path contains, the way there and back gives the
same file.
"""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

KAFKA, EMBEDDED, SQLITE = "kafka://", "embedded://", "sqlite:///"
KAFKA_PORT = 9092
MAX_PORT = 65_535

_SPECIAL = re.compile(r"[%?#,;\x00-\x20\x7f-\xa0\ud800-\udfff]")
"""What a URL, Faust's list of URLs or a terminal would take for something else."""
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[\w.-]+)(:(?P<port>\d{1,5}))?/?")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://")
_AUTHENTICATED = re.compile(r"[^/]*@")

BROKER_FORM = "write embedded:// or kafka://host:9092; several hosts: kafka://a:9092,b:9092"


def brokers(text: str) -> str:
    """A broker setting in the form that everybody below understands; ValueError says what to write, without the text.

    >>> brokers("KAFKA://a,b:9093/"), brokers("kafka://[::1]; kafka://a:9092"), brokers("Embedded://")
    ('kafka://a:9092;b:9093', 'kafka://[::1]:9092;a:9092', 'embedded://')
    """
    found = _SCHEME.match(text)
    scheme = found["scheme"].lower() + "://" if found else ""
    if scheme == EMBEDDED:
        if text[len(EMBEDDED) :].strip("/"):
            raise ValueError("write embedded:// alone: the embedded log is in the directory of TRADERECON_DATA_DIR")
        return EMBEDDED
    if scheme != KAFKA:
        if scheme.removesuffix("://") in {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", "aiokafka"}:
            raise ValueError(f"{BROKER_FORM}; how it is encrypted is for TRADERECON_KAFKA_SECURITY to say")
        raise ValueError(BROKER_FORM)
    hosts = re.split(r"[,;]", text[len(KAFKA) :].removesuffix(",").removesuffix(";"))
    return KAFKA + ";".join(dict.fromkeys(_host(host.strip()) for host in hosts))


def servers(broker: str) -> list[str]:
    """Each ``host:port`` of ``kafka://...``, whether or not ``brokers`` made it."""
    return brokers(broker).removeprefix(KAFKA).split(";")


def embedded_url(directory: Path) -> str:
    """The URL of the embedded log in a directory."""
    return EMBEDDED + _quoted(directory.absolute())


def embedded_directory(url: str) -> Path | None:
    """The directory that ``embedded:///absolute/path`` names; None: it names none. ValueError: it names a host."""
    path = url[len(EMBEDDED) :]
    if path and not path.startswith("/"):
        raise ValueError(f"{url} names a host: write embedded:// alone, the log is in the data directory")
    return _path(path) if path else None


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite file; a relative path stays relative.

    >>> sqlite_url(Path("/srv/50% #1/traderecon.db"))
    'sqlite:////srv/50%25%20%231/traderecon.db'
    """
    return SQLITE + _quoted(file)


def sqlite_path(url: str) -> Path | None:
    """The file that ``sqlite:///path`` names; None for another kind of URL, or one that names no file.

    >>> sqlite_path("sqlite:////srv/50%25%20%231/traderecon.db")
    PosixPath('/srv/50% #1/traderecon.db')
    """
    rest = url.removeprefix(SQLITE)
    return None if rest == url or not rest or rest == ":memory:" else _path(rest)


def _host(text: str) -> str:
    while _SCHEME.match(text):
        if not text.lower().startswith(KAFKA):
            raise ValueError(BROKER_FORM)
        text = text[len(KAFKA) :]
    if _AUTHENTICATED.match(text):
        raise ValueError(
            f"{BROKER_FORM}, without a name or password: TRADERECON_KAFKA_USERNAME and TRADERECON_KAFKA_PASSWORD are "
            "for them"
        )
    found = _HOST.fullmatch(text)
    if not found:
        if text.count(":") > 1:
            raise ValueError("write an IPv6 address in brackets: kafka://[::1]:9092")
        raise ValueError(BROKER_FORM)
    port = int(found["port"] or KAFKA_PORT)
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"a broker's port is a number from 1 to {MAX_PORT}")
    return f"{found['host']}:{port}"


def _quoted(path: Path) -> str:
    return _SPECIAL.sub(lambda found: quote(os.fsencode(found[0])), str(path))


def _path(text: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(os.fsencode(text))))
