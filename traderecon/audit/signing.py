"""Signatures of checkpoints: Ed25519, by a key outside of the data directory, so that who edits that cannot make them.

    make_key(file) -> public key        Signer.of(file).signed(checkpoint)        Keys.of(texts).holds(checkpoint)

The signature is over the JSON of the checkpoint with ``signed_by`` and without ``signature``.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from traderecon.durable import create
from traderecon.records.checkpoint import Checkpoint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PUBLIC_BYTES = 32


class KeyTrouble(Exception):
    """A key that cannot be used: which, and what to do. Never the key itself."""


class Signer:
    """Signs with a private key."""

    def __init__(self, private: "Ed25519PrivateKey") -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw().hex()
        self._name = name_of(self.public)

    @classmethod
    def of(cls, file: Path) -> "Signer":
        """The key of a file, as ``make_key`` makes them. KeyTrouble."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            private = load_pem_private_key(file.read_bytes(), None)
        except OSError as error:
            raise KeyTrouble(
                f"{file}: cannot be read ({error.strerror}): `traderecon audit key FILE` makes one"
            ) from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyTrouble(
                f"{file}: is no Ed25519 key in PEM without a password: `traderecon audit key FILE` makes one"
            )
        return cls(private)

    def signed(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same checkpoint, signed."""
        named = replace(checkpoint, signed_by=self._name, signature=msgspec.UNSET)
        return replace(named, signature=self._private.sign(named.line).hex())


class Keys(NamedTuple):
    """Public keys that are trusted, by name; none: signatures are not looked at."""

    by_name: dict[str, "Ed25519PublicKey"]

    @classmethod
    def of(cls, keys: Iterable[str]) -> "Keys":
        """From public keys in hexadecimal, as ``audit key`` prints them, or files that hold one. KeyTrouble."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        found = {}
        for text in keys:
            public = _public(text)
            found[name_of(public)] = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        return cls(found)

    def refusal(self, checkpoint: Checkpoint) -> str | None:
        """Why a signature does not count; None where it does."""
        from cryptography.exceptions import InvalidSignature

        public = self.by_name.get(str(checkpoint.signed_by))
        if public is None:
            return f"is signed with the key {checkpoint.signed_by}, which is not trusted"
        try:
            public.verify(bytes.fromhex(str(checkpoint.signature)), replace(checkpoint, signature=msgspec.UNSET).line)
        except (InvalidSignature, ValueError):
            return f"has a signature that the key {checkpoint.signed_by} has not made"
        return None


def make_key(file: Path) -> str:
    """Make a private key in a new file that nobody else can read; gives the public key.

    FileExistsError: it is there already; OSError: it cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    create(file, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return private.public_key().public_bytes_raw().hex()


def name_of(public: str) -> str:
    """How a checkpoint calls a key: the beginning of the sha256 of the public key."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def _public(text: str) -> str:
    """The public key in hexadecimal."""
    try:
        given = text.strip()
        if len(given) != PUBLIC_BYTES * 2:
            given = Path(text).read_text(encoding="utf-8").strip()
        if len(bytes.fromhex(given)) == PUBLIC_BYTES:
            return given.lower()
    except (OSError, ValueError):
        pass
    raise KeyTrouble(
        f"{text[:100]}: is no public key: 64 hexadecimal digits, as `traderecon audit key` prints them, or a file"
    )
