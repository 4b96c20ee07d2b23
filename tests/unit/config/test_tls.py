"""The server's own certificate: what stops the start, and what is told at it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from config import Settings, SettingsError, certificates, tls
from tests.support.tls import AuthorityFiles, Identity, make_authority

Read = Callable[..., Settings]


@pytest.fixture(scope="module")
def authority() -> AuthorityFiles:
    return make_authority()


@pytest.fixture(scope="module")
def identity(authority: AuthorityFiles) -> Identity:
    return authority.issue("chat.example.org")


def encrypted(identity: Identity) -> Path:
    key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    path = identity.key.with_suffix(".locked")
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    return path


def test_certificate_and_its_key_are_taken(read: Read, identity: Identity) -> None:
    settings = read(
        TLS_CERT_FILE=str(identity.certificate), TLS_KEY_FILE=str(identity.key)
    )

    assert settings.tls_cert_file == identity.certificate


@pytest.mark.parametrize("missing", ["TLS_CERT_FILE", "TLS_KEY_FILE"])
def test_one_without_the_other_is_refused(
    read: Read, identity: Identity, missing: str
) -> None:
    files = {
        "TLS_CERT_FILE": str(identity.certificate),
        "TLS_KEY_FILE": str(identity.key),
    }

    with pytest.raises(SettingsError, match=f"BOTTLEPOST_{missing} is missing"):
        read(**files | {missing: ""})


def test_key_of_another_certificate_is_refused(
    read: Read, authority: AuthorityFiles, identity: Identity
) -> None:
    other = authority.issue("other.example.org")

    with pytest.raises(SettingsError, match=r"KEY_FILE .* is not the key of"):
        read(TLS_CERT_FILE=str(identity.certificate), TLS_KEY_FILE=str(other.key))


def test_encrypted_key_is_refused_without_a_question(
    read: Read, identity: Identity
) -> None:
    key = encrypted(identity)

    with pytest.raises(SettingsError, match=r"KEY_FILE .* is encrypted"):
        read(TLS_CERT_FILE=str(identity.certificate), TLS_KEY_FILE=str(key))


def test_files_that_hold_something_else_are_named(
    read: Read, identity: Identity, tmp_path: Path
) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("nothing of the kind")

    with pytest.raises(SettingsError, match=r"CERT_FILE .* no readable certificate"):
        read(TLS_CERT_FILE=str(other), TLS_KEY_FILE=str(identity.key))
    with pytest.raises(SettingsError, match=r"KEY_FILE .* no private key"):
        read(TLS_CERT_FILE=str(identity.certificate), TLS_KEY_FILE=str(other))


def test_end_of_the_certificate_is_told_ahead(identity: Identity) -> None:
    end = certificates.end_of(identity.certificate)

    told = [
        tls.notice(identity.certificate, end - timedelta(days=days))
        for days in (31, 29, 0)
    ]

    assert told[0] is None
    assert "expires on" in str(told[1])
    assert "has expired" in str(told[2])
    assert tls.notice(None, datetime.now(UTC)) is None
