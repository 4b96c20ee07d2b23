"""The VAPID key pair, which identifies us to push services (RFC 8292)."""

import os
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from config.pem import with_line_ends

if TYPE_CHECKING:
    from config import Settings

FILE_NAME = "vapid.pem"
_is_raw = re.compile(rb"[A-Za-z0-9_-]{43}=?").fullmatch


def private_key(settings: "Settings") -> ec.EllipticCurvePrivateKey:
    """The key of the settings, or the one in the run directory.

    Browsers subscribe to one key only, so it is created once and then kept. Raises
    ValueError that names a file without such a key.
    """
    path = settings.vapid_key_file
    if path is None:
        path = settings.run_dir / FILE_NAME
        if not path.exists():
            _create(path)
    try:
        return read(path)
    except ValueError as problem:
        raise ValueError(f"{path} {problem}") from problem


def read(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in a file; the message of a ValueError follows the file's name."""
    try:
        key = _read(path.read_bytes())
    except (ValueError, TypeError, OSError) as problem:
        raise ValueError("holds no usable private key") from problem
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError("holds a key that is not one on the curve P-256")
    return key


def _read(content: bytes) -> PrivateKeyTypes:
    """The key of a PEM, or of 32 bytes in base64url, as many tools print it."""
    text = content.strip()
    if not _is_raw(text):
        return serialization.load_pem_private_key(
            with_line_ends(content), password=None
        )
    number = int.from_bytes(urlsafe_b64decode(text.rstrip(b"=") + b"="))
    return ec.derive_private_key(number, ec.SECP256R1())


def public_key(settings: "Settings") -> str:
    """The key that a browser needs as `applicationServerKey`."""
    return encoded(private_key(settings))


def encoded(key: ec.EllipticCurvePrivateKey) -> str:
    """The public half as base64url of its uncompressed point."""
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return urlsafe_b64encode(point).rstrip(b"=").decode()


def _create(path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
        # If several processes create a key at once, all use the first one.
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
