"""Addresses of brokers, databases and logs: from what people write to what the libraries expect.

    "kafka://a, b:9093/"  ->  "kafka://a:9092;b:9093"          brokers
    Path("/srv/a#b")     <->  "embedded:///srv/a%23b"          embedded_url, embedded_directory
    Path("a#b.db")       <->  "sqlite:///a%23b.db"             sqlite_url, sqlite_path

The only module that converts between paths and URLs. The round trip gives the same file, whatever the path contains.
"""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

KAFKA, EMBEDDED, SQLITE = "kafka://", "embedded://", "sqlite:///"
KAFKA_PORT = 9092
MASK = "****"
"""What is printed in place of a password."""
MAX_PORT = 65_535

_SPECIAL = re.compile(r"[%?#,;\x00-\x20\x7f-\xa0\ud800-\udfff]")
"""Characters with a meaning in a URL, in Faust's list of URLs or on a terminal."""
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[\w.-]+)(:(?P<port>\d{1,5}))?/?")
_PASSWORD_IN_URL = re.compile(r"(^[^:]+://[^:@/]*:).*(?=@)|(?<=password=)[^&]*")
_CREDENTIALS = re.compile(r"^([\w+.-]*://)?.*@", re.DOTALL)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://")
_AUTHENTICATED = re.compile(r"[^/]*@")

BROKER_FORM = "write embedded:// or kafka://host:9092; several hosts: kafka://a:9092,b:9092"


def brokers(text: str) -> str:
    """Normalize a broker setting. ValueError says what to write, without repeating the text: it may have a password.

    >>> brokers("KAFKA://a,b:9093/"), brokers("kafka://[::1]; kafka://a:9092"), brokers("Embedded://")
    ('kafka://a:9092;b:9093', 'kafka://[::1]:9092;a:9092', 'embedded://')
    """
    match = _SCHEME.match(text)
    scheme = match["scheme"].lower() + "://" if match else ""
    if scheme == EMBEDDED:
        if text[len(EMBEDDED) :].strip("/"):
            raise ValueError("write embedded:// alone: the embedded log is in TRADERECON_DATA_DIR")
        return EMBEDDED
    if scheme != KAFKA:
        if scheme.removesuffix("://") in {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", "aiokafka"}:
            raise ValueError(f"{BROKER_FORM}; set the encryption in TRADERECON_KAFKA_SECURITY")
        raise ValueError(BROKER_FORM)
    hosts = re.split(r"[,;]", text[len(KAFKA) :].removesuffix(",").removesuffix(";"))
    return KAFKA + ";".join(dict.fromkeys(_host(host.strip()) for host in hosts))


def mask_password(url: str) -> str:
    """A URL without its password.

    >>> mask_password("postgresql://u:secret@h/db?password=secret&x=1")
    'postgresql://u:****@h/db?password=****&x=1'
    """
    return _PASSWORD_IN_URL.sub(rf"\1{MASK}", url)


def mask_credentials(text: str) -> str:
    """A text that should have been an address, without anything that may be a user name or a password.

    >>> mask_credentials("kafka:/u:se/cret@h"), mask_credentials("kafka://u:secret@h"), mask_credentials("kafka:/h")
    ('****@h', 'kafka://****@h', 'kafka:/h')
    """
    return mask_password(_CREDENTIALS.sub(rf"\1{MASK}@", text))


def servers(broker: str) -> list[str]:
    """Each ``host:port`` of a ``kafka://`` URL, normalized or not."""
    return brokers(broker).removeprefix(KAFKA).split(";")


def embedded_url(directory: Path) -> str:
    """The URL of the embedded log in a directory."""
    return EMBEDDED + _quoted(directory.absolute())


def embedded_directory(url: str) -> Path | None:
    """The directory in ``embedded:///absolute/path``; None if there is none. ValueError: the URL has a host."""
    path = url[len(EMBEDDED) :]
    if path and not path.startswith("/"):
        raise ValueError(f"{url} has a host: write embedded:// alone, the log is in the data directory")
    return _path(path) if path else None


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite file; a relative path stays relative.

    >>> sqlite_url(Path("/srv/50% #1/traderecon.db"))
    'sqlite:////srv/50%25%20%231/traderecon.db'
    """
    return SQLITE + _quoted(file)


def sqlite_path(url: str) -> Path | None:
    """The file in ``sqlite:///path``; None for another kind of URL, or one without a file.

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
            f"{BROKER_FORM}, without user name and password: set TRADERECON_KAFKA_USERNAME and "
            "TRADERECON_KAFKA_PASSWORD instead"
        )
    match = _HOST.fullmatch(text)
    if not match:
        if text.count(":") > 1:
            raise ValueError("write an IPv6 address in brackets: kafka://[::1]:9092")
        raise ValueError(BROKER_FORM)
    port = int(match["port"] or KAFKA_PORT)
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"a broker's port is a number from 1 to {MAX_PORT}")
    return f"{match['host']}:{port}"


def _quoted(path: Path) -> str:
    return _SPECIAL.sub(lambda special: quote(os.fsencode(special[0])), str(path))


def _path(text: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(os.fsencode(text))))
