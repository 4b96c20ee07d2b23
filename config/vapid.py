"""The key pair by which push services know us (RFC 8292), made on first use."""

import os
import secrets
from base64 import urlsafe_b64encode
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from config import Settings

FILE_NAME = "vapid.pem"


def private_key(settings: "Settings") -> ec.EllipticCurvePrivateKey:
    """The key of the settings, or the one in the run directory.

    Browsers subscribe to one key only, so it is made once and then kept. Raises
    ValueError naming the file that holds no such key.
    """
    path = settings.vapid_key_file
    if path is None:
        path = settings.run_dir / FILE_NAME
        if not path.exists():
            _make(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, OSError) as problem:
        raise ValueError(f"{path} holds no usable private key") from problem
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError(f"the key in {path} is not one on the curve P-256")
    return key


def public_key(settings: "Settings") -> str:
    """What a browser wants as `applicationServerKey`."""
    return encoded(private_key(settings))


def encoded(key: ec.EllipticCurvePrivateKey) -> str:
    """The public half as base64url of its uncompressed point."""
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return urlsafe_b64encode(point).rstrip(b"=").decode()


def _make(path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
        # Of several processes that start at once one wins, and all read its key.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
