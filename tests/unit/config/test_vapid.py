"""The VAPID key: created once, or read from a file."""

import multiprocessing
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from config import Settings, vapid

Read = Callable[..., Settings]


def test_vapid_key_is_created_once_and_private(read: Read) -> None:
    settings = read()

    first = vapid.public_key(settings)

    file = settings.run_dir / "vapid.pem"
    assert vapid.public_key(settings) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.run_dir.iterdir()] == ["vapid.pem"]


def _public_key(settings: Settings) -> str:
    return vapid.public_key(settings)


def test_processes_that_start_together_share_one_key(read: Read) -> None:
    settings = read()

    with multiprocessing.get_context("forkserver").Pool(4) as pool:
        keys = pool.map(_public_key, [settings] * 8, chunksize=1)

    assert len(set(keys)) == 1


def test_own_vapid_key_is_used(read: Read, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "own.pem"
    file.write_bytes(_pem(key))

    settings = read(VAPID_KEY_FILE=str(file))

    assert vapid.public_key(settings) == vapid.encoded(key)
    assert not (settings.run_dir / "vapid.pem").exists()


def test_line_ends_of_a_key_may_be_escaped(read: Read, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "own.pem"
    file.write_bytes(_pem(key).replace(b"\n", b"\\n"))

    assert vapid.public_key(read(VAPID_KEY_FILE=str(file))) == vapid.encoded(key)


@pytest.mark.parametrize("end", ["", "=", "\n"])
def test_a_raw_key_is_used(read: Read, tmp_path: Path, end: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    raw = key.private_numbers().private_value.to_bytes(32)
    file = tmp_path / "own.key"
    file.write_text(urlsafe_b64encode(raw).rstrip(b"=").decode() + end)

    settings = read(VAPID_KEY_FILE=str(file))

    assert vapid.public_key(settings) == vapid.encoded(key)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no key", "no usable private key"),
        (b"", "no usable private key"),
        (b"A" * 43, "no usable private key"),
        ("rsa", "P-256"),
        ("p384", "P-256"),
    ],
)
def test_file_without_a_vapid_key_is_named(
    read: Read, tmp_path: Path, content: bytes | str, problem: str
) -> None:
    keys = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    }
    file = tmp_path / "own.pem"
    file.write_bytes(_pem(keys[content]()) if isinstance(content, str) else content)

    with pytest.raises(ValueError, match=problem) as refused:
        vapid.public_key(read(VAPID_KEY_FILE=str(file)))

    assert str(file) in str(refused.value)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
