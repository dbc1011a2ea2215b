"""Signatures of checkpoints: Ed25519. The key is kept outside the data directory: write access to that is not enough.

    make_key(file) -> public key    Signer.of(file).sign(checkpoint)    Keys.of(texts).reject_reason(checkpoint)

The signature covers the JSON of the checkpoint with ``signed_by`` and without ``signature``.
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


class SigningKeyError(Exception):
    """A key that cannot be used: which one, and what to do. Never contains the key itself."""


class Signer:
    """Signs with a private key."""

    def __init__(self, private: "Ed25519PrivateKey") -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw().hex()
        self._name = name_of(self.public)

    @classmethod
    def of(cls, file: Path) -> "Signer":
        """From a key file as written by ``make_key``. KeyTrouble."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            private = load_pem_private_key(file.read_bytes(), None)
        except OSError as error:
            raise SigningKeyError(
                f"{file}: cannot be read ({error.strerror}): `traderecon audit key FILE` creates one"
            ) from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise SigningKeyError(
                f"{file}: not an Ed25519 key in PEM format without a password: `traderecon audit key FILE` creates one"
            )
        return cls(private)

    def sign(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same checkpoint, signed."""
        named = replace(checkpoint, signed_by=self._name, signature=msgspec.UNSET)
        return replace(named, signature=self._private.sign(named.line).hex())


class Keys(NamedTuple):
    """Trusted public keys by name; empty: signatures are not checked."""

    by_name: dict[str, "Ed25519PublicKey"]

    @classmethod
    def of(cls, keys: Iterable[str]) -> "Keys":
        """From public keys in hexadecimal, as ``audit key`` prints them, or files that hold one. KeyTrouble."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        by_name = {}
        for text in keys:
            public = _public(text)
            by_name[name_of(public)] = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        return cls(by_name)

    def reject_reason(self, checkpoint: Checkpoint) -> str | None:
        """Why a signature is not accepted; None if it is."""
        from cryptography.exceptions import InvalidSignature

        public = self.by_name.get(str(checkpoint.signed_by))
        if public is None:
            return f"is signed with the key {checkpoint.signed_by}, which is not trusted"
        try:
            public.verify(bytes.fromhex(str(checkpoint.signature)), replace(checkpoint, signature=msgspec.UNSET).line)
        except (InvalidSignature, ValueError):
            return f"has a signature that was not made by the key {checkpoint.signed_by}"
        return None


def make_key(file: Path) -> str:
    """Create a private key in a new file readable only by its owner; returns the public key.

    FileExistsError: the file exists; OSError: it cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    create(file, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return private.public_key().public_bytes_raw().hex()


def name_of(public: str) -> str:
    """The name of a key in checkpoints: the beginning of the sha256 of the public key."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def _public(text: str) -> str:
    """The public key in hexadecimal."""
    try:
        digits = text.strip()
        if len(digits) != PUBLIC_BYTES * 2:
            digits = Path(text).read_text(encoding="utf-8").strip()
        if len(bytes.fromhex(digits)) == PUBLIC_BYTES:
            return digits.lower()
    except (OSError, ValueError):
        pass
    raise SigningKeyError(
        f"{text[:100]}: not a public key: give the 64 hexadecimal digits that `traderecon audit key` prints, or a file "
        "with them"
    )
