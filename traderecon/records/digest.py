"""The digest of ids and chains: sha256, in hexadecimal."""

import hashlib

_empty = hashlib.sha256()  # copying it takes half the time of a new one


def sha256(content: bytes) -> str:
    """64 hexadecimal digits.

    >>> sha256(b"T1")[:16]
    '1f93603db53bfad5'
    """
    digest = _empty.copy()
    digest.update(content)
    return digest.hexdigest()
