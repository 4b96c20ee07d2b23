"""Key files that cannot be used: each is told at the start, with what helps."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import load_pem_x509_certificate

from config import Settings, SettingsError, key_files
from tests.support import tls
from tests.support.paths import ROOT

Read = Callable[..., Settings]
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
APNS = {"APNS_KEY_ID": "KEY1234567", "APNS_TEAM_ID": "TEAM123456", "APNS_TOPIC": "app"}


def pem(key: Any, password: bytes | None = None) -> bytes:
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    kind = serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(serialization.Encoding.PEM, kind, encryption))


def public(key: Any) -> bytes:
    return bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def account(**changes: Any) -> bytes:
    fields = {
        "type": "service_account",
        "project_id": "harbour",
        "private_key": pem(RSA).decode(),
        "client_email": "push@harbour.example",
        "token_uri": "https://oauth2.example/token",
    }
    kept = {name: value for name, value in (fields | changes).items() if value != ""}
    return json.dumps(kept).encode()


BOTH = tls.authority().authority.issue_client("app")
CERTIFICATE, _BEGIN, _KEY = BOTH.partition(tls.KEY_BEGIN)
KEY = _BEGIN + _KEY
CA = tls.authority().authority.ca_pem()
DER = load_pem_x509_certificate(CA).public_bytes(serialization.Encoding.DER)
P12 = pkcs12.serialize_key_and_certificates(
    b"app",
    P256,
    None,
    None,
    serialization.NoEncryption(),
)
PLIST = b'<?xml version="1.0"?><plist></plist>'
CUT = pem(P256)[:100] + b"\n-----END PRIVATE KEY-----\n"

WRONG: dict[str, dict[str, tuple[bytes, str]]] = {
    "APNS_KEY_FILE": {
        "empty": (b"", "is empty"),
        "text": (b"no key", "is text without a key"),
        "cut": (CUT, "damaged"),
        "rsa": (pem(RSA), "P-256"),
        "curve": (pem(ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
        "ed25519": (pem(ed25519.Ed25519PrivateKey.generate()), "P-256"),
        "public": (public(P256), "holds a public key"),
        "password": (pem(P256, b"secret"), "with a password"),
        "certificate": (CERTIFICATE, "belongs into BOTTLEPOST_APNS_CERT_FILE"),
        "both": (BOTH, "a certificate with its key"),
        "p12": (P12, "is binary"),
        "google": (account(), "is JSON"),
    },
    "APNS_CERT_FILE": {
        "empty": (b"", "is empty"),
        "p12": (P12, "openssl pkcs12"),
        "no key": (CERTIFICATE, "without its private key"),
        "key alone": (KEY, "holds no certificate"),
        "another key": (CERTIFICATE + pem(P256), "the private key of another one"),
        "password": (CERTIFICATE + pem(P256, b"secret"), "with a password"),
        "cut": (CERTIFICATE[:200] + KEY, "damaged"),
    },
    "FCM_CREDENTIALS_FILE": {
        "empty": (b"", "is empty"),
        "the app's": (b'{"project_info": {}, "client": []}', "google-services.json"),
        "an iOS app's": (PLIST, "GoogleService-Info.plist"),
        "a web app's": (b'{"apiKey": "x", "authDomain": "y"}', "a web app"),
        "a person's": (account(type="authorized_user"), "the login of a person"),
        "a workload's": (account(type="external_account"), "'external_account'"),
        "an OAuth client's": (b'{"web": {"client_id": "x"}}', "OAuth client"),
        "Apple's": (pem(P256), "is PEM (PRIVATE KEY), not JSON"),
        "cut": (account()[:300], "is damaged JSON"),
        "list": (b"[]", "no JSON object"),
        "no email": (account(client_email=""), "has no client_email"),
        "a number": (account(project_id=7), "has no project_id"),
        "another path": (account(project_id="../x y"), "a project_id that is none"),
        "http": (account(token_uri="http://x"), "https://"),
        "cut key": (account(private_key=CUT.decode()), "cannot be read"),
        "ec key": (account(private_key=pem(P256).decode()), "not an RSA key"),
    },
    "CA_FILE": {
        "empty": (b"", "is empty"),
        "der": (DER, "openssl x509 -inform der"),
        "key": (pem(P256), "holds no certificate"),
        "cut": (CA[:200] + b"\n-----END CERTIFICATE-----\n", "damaged"),
    },
    "VAPID_KEY_FILE": {"text": (b"no key", "no usable private key")},
}
CASES = [(name, case) for name, cases in WRONG.items() for case in cases]
RIGHT = {
    "APNS_KEY_FILE": pem(P256),
    "APNS_CERT_FILE": BOTH,
    "FCM_CREDENTIALS_FILE": account(),
    "CA_FILE": CA,
    "VAPID_KEY_FILE": pem(P256),
}


def settings_with(read: Read, directory: Path, name: str, content: bytes) -> Settings:
    path = directory / "file"
    path.write_bytes(content)
    more: dict[str, str] = APNS if name == "APNS_KEY_FILE" else {}
    if name == "APNS_CERT_FILE":
        more = {"APNS_TOPIC": "app"}
    return read(**more, **{name: str(path)})


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_wrong_file_is_refused_with_its_variable_and_the_reason(
    read: Read, tmp_path: Path, name: str, case: str
) -> None:
    content, words = WRONG[name][case]
    settings = settings_with(read, tmp_path, name, content)

    with pytest.raises(SettingsError) as refused:
        key_files.check(settings)

    assert str(refused.value).startswith(f"BOTTLEPOST_{name} ")
    assert words in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_file_is_taken_and_described(
    read: Read, tmp_path: Path, name: str
) -> None:
    settings = settings_with(read, tmp_path, name, RIGHT[name])

    key_files.check(settings)

    (found,) = key_files.of(settings)
    assert found.variable == f"BOTTLEPOST_{name}"
    assert found.describe(found.path)
    assert (found.ends() is None) == (name not in ("APNS_CERT_FILE", "CA_FILE"))


def test_an_end_that_is_near_is_told(read: Read, tmp_path: Path) -> None:
    settings = settings_with(read, tmp_path, "CA_FILE", CA)
    end = load_pem_x509_certificate(CA).not_valid_after_utc

    assert not list(key_files.notices(settings, datetime.now(UTC)))
    (told,) = key_files.notices(settings, end - timedelta(days=1))
    assert told.startswith("BOTTLEPOST_CA_FILE: an authority expires on")


@pytest.mark.parametrize(
    "command",
    [
        ("server.py",),
        ("-c", "import server; server.create_app()"),
        ("-m", "notifier", "polling"),
    ],
    ids=["server", "factory", "worker"],
)
def test_every_start_tells_it_in_one_line(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "google-services.json"
    path.write_text('{"project_info": {}, "client": []}')
    environ = {
        "PYTHONPATH": str(ROOT),
        "BOTTLEPOST_RUN_DIR": str(tmp_path),
        "BOTTLEPOST_SERVICE_KEY": "k" * 16,
        "BOTTLEPOST_FCM_CREDENTIALS_FILE": str(path),
    }

    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("bottlepost: BOTTLEPOST_FCM_CREDENTIALS_FILE is google-serv")
    assert "Traceback" not in done.stderr
