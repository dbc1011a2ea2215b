"""Certificates for a broker and its clients, made by the openssl command and good for one test run.

Authority(directory) -> issue("broker", "IP:127.0.0.1") -> Certificate(chain, key)
"""

import subprocess
from pathlib import Path
from typing import NamedTuple

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Certificate(NamedTuple):
    """A certificate and its private key, both PEM."""

    chain: Path
    key: Path

    def keystore(self) -> Path:
        """Both in one file, as a Kafka wants them."""
        both = self.chain.with_suffix(".keystore.pem")
        both.write_text(self.key.read_text() + self.chain.read_text())
        return both


class Authority:
    """Signs certificates; ``certificate`` is what those trust who trust it."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.certificate = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        made = ("-keyout", self._key, "-out", self.certificate, "-days", "3650", "-subj", f"/CN={name}")
        openssl("req", "-x509", *KEY, *made)

    def issue(self, name: str, alternative: str = "IP:127.0.0.1", *, days: int = 30) -> Certificate:
        """A certificate for ``CN=name`` and its address (``IP:127.0.0.1``, ``DNS:host``); negative days: expired."""
        chain, key, request, names = (self._directory / f"{name}.{kind}" for kind in ("pem", "key", "csr", "names"))
        openssl("req", *KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        key.chmod(0o600)
        names.write_text(f"subjectAltName={alternative}\n")
        signed = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", days, "-extfile", names)
        openssl("x509", "-req", "-in", request, "-out", chain, *signed)
        return Certificate(chain, key)


def openssl(*arguments: object) -> None:
    """Run the command; AssertionError with what it said where it failed."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
