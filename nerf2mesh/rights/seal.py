"""The seal of a record: a digest of the whole file and, where there is a key, an Ed25519 signature (RFC 8032).

    unsealed = the file with every digit of its seal set to 0, and the container's checksums computed anew
    digest   = SHA-256(unsealed), 64 hexadecimal digits
    signed   = "nerf2mesh provenance 1" newline, the record's text, newline, the digest; all in ASCII
    seal     = digest "." Ed25519(signed), 128 hexadecimal digits; zeros without a key

The public key is the record's `signed_by`. A digest alone shows accidents: whoever changes the file can compute it
anew. A signature shows that nobody but the key's holder has changed the file or the record.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerf2mesh.rights.containers import Carried, find, mend
from nerf2mesh.utils.atomic_write import create_new
from nerf2mesh.utils.regular_file import read_regular

BLANK = "0" * 64 + "." + "0" * 128
HEAD = "nerf2mesh provenance 1\n"
_EXTRA = "pip install 'nerf2mesh[provenance]'"


@dataclass(frozen=True)
class Signer:
    """A private key; `name` is its public half, 64 hexadecimal digits."""

    key: Any
    name: str

    def sign(self, text: str) -> str:
        """The signature as 128 hexadecimal digits."""
        return self.key.sign(text.encode("ascii")).hex()


def sealed(data: bytes, suffix: str, signer: Signer | None = None) -> bytes:
    """A file that was written with `BLANK` as its seal, sealed."""
    carried = find(data, suffix)
    assert carried is not None and carried.seal == BLANK, suffix
    data = mend(data, suffix)
    digest = hashlib.sha256(data).hexdigest()
    signature = signer.sign(message(carried.text, digest)) if signer else BLANK[65:]
    return mend(_with_seal(data, carried, BLANK, f"{digest}.{signature}"), suffix)


def unsealed(data: bytes, suffix: str, carried: Carried) -> bytes:
    """The bytes of which the digest is taken."""
    return mend(_with_seal(data, carried, carried.seal, BLANK), suffix)


def is_whole(data: bytes, suffix: str, carried: Carried) -> bool:
    """Whether the file is, byte for byte, the one that was sealed."""
    if not carried.seal or mend(data, suffix) != data:
        return False
    return hashlib.sha256(unsealed(data, suffix, carried)).hexdigest() == carried.seal[:64]


def message(text: str, digest: str) -> str:
    """What is signed."""
    return f"{HEAD}{text}\n{digest}"


def is_signed(carried: Carried, public_key: str) -> bool:
    """Whether the seal's signature over record and digest is that of the key. ValueError without `cryptography`."""
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(carried.seal[65:]), message(carried.text, carried.seal[:64]).encode("ascii"))
    except (InvalidSignature, ValueError):
        return False
    return True


def make_key(path: Path) -> str:
    """Writes a new private key, readable by its owner alone, and returns the public key.

    ValueError where a file is there, or without `cryptography`.
    """
    ed25519 = _ed25519()
    from cryptography.hazmat.primitives import serialization as form

    if os.path.lexists(path):
        raise ValueError(
            f"key: expected a new file, got {path}, which is there; a key that is lost cannot be made again"
        )
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    with open(create_new(path), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
    return _name(key)


def read_key(path: str | Path) -> Signer:
    """The private key in a file. ValueError where it is none, or without `cryptography`."""
    ed25519 = _ed25519()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    wanted = "an Ed25519 key in PEM, as nerf2mesh-provenance keygen writes it"
    try:
        key = load_pem_private_key(read_regular(Path(path).expanduser(), limit_bytes=1 << 16), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"report.sign_key: expected {wanted}, got {path} ({_first(error)}); make one") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ValueError(f"report.sign_key: expected {wanted}, got another kind of key in {path}; make one")
    return Signer(key, _name(key))


def _name(key: Any) -> str:
    return key.public_key().public_bytes_raw().hex()


def _with_seal(data: bytes, carried: Carried, old: str, new: str) -> bytes:
    """Every occurrence of the seal in the part of the file that holds it."""
    part = data[carried.start : carried.end]
    return data[: carried.start] + part.replace(old.encode(), new.encode()) + data[carried.end :]


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ValueError(f"signature: expected the package cryptography, got none; {_EXTRA}") from error
    return ed25519


def _first(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
