"""Raw bytes as text that is safe to display: characters that do not print are escaped."""

import base64

from traderecon.sink.rows import RAW_SHOWN


def to_text(encoded: str | None, *, size: int) -> str:
    r"""The first bytes of a record (base64) as text; ``size`` is the number of bytes of the whole record.

    >>> to_text("eyJhIjogMX0=", size=8), to_text("AP8K4oCu", size=6)
    ('{"a": 1}', '\\x00\\xff\\x0a\\u202e')
    """
    if encoded is None:
        return ""
    start = base64.b64decode(encoded)[:RAW_SHOWN]
    text = "".join(map(_escaped, start.decode("utf-8", "backslashreplace")))
    return text + "…" if size > len(start) else text


def _escaped(character: str) -> str:
    """Printable characters stay; blanks other than the space, control characters and direction marks are escaped."""
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
