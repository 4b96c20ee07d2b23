"""The sandbox's certificates and the providers' keys, made at the first start."""

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sandbox.certificates import Authority, pem

TEAM_ID = "BOTTLEPOST"
KEY_ID = "SANDBOXKEY"
TOPIC = "org.bottlepost.demo"
PROJECT = "bottlepost-sandbox"
# Google takes it in the place of the name.
PROJECT_NUMBER = "105105105105"


class InvalidKeys(Exception):
    """A file of an earlier start is damaged."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The paths of all files, and the keys that the sandbox checks with."""

    ca_file: Path
    server_file: Path
    apns_key_file: Path
    apns_cert_file: Path
    account_file: Path
    apns_public: ec.EllipticCurvePublicKey
    account_public: rsa.RSAPublicKey
    account_email: str
    account_key_id: str
    # Signs access tokens and derives subscriptions, so that they survive a restart.
    token_secret: bytes


def provide(directory: Path, host: str) -> Keys:
    """Return the keys of a directory; makes missing ones, raises InvalidKeys."""
    try:
        return _provide(directory, host)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidKeys(
            f"the keys in {directory} are damaged ({error}): remove them"
        ) from error


def _provide(directory: Path, host: str) -> Keys:
    authority = _authority(directory)
    server_file = directory / "server.pem"
    if not authority.is_current(server_file, host):
        write_private(server_file, authority.issue_server(host))
    apns_cert_file = directory / "apns-cert.pem"
    if not authority.is_current(apns_cert_file):
        write_private(apns_cert_file, authority.issue_client(TOPIC))
    apns_key_file = directory / "apns-key.p8"
    _make_missing(apns_key_file, lambda: pem(ec.generate_private_key(ec.SECP256R1())))
    account_file = directory / "fcm-service-account.json"
    _make_missing(account_file, _service_account)
    secret_file = directory / "token-secret"
    _make_missing(secret_file, lambda: secrets.token_hex(32).encode())
    account = json.loads(account_file.read_bytes())
    return Keys(
        ca_file=directory / "ca.pem",
        server_file=server_file,
        apns_key_file=apns_key_file,
        apns_cert_file=apns_cert_file,
        account_file=account_file,
        apns_public=_elliptic(apns_key_file.read_bytes()).public_key(),
        account_public=_account_key(account).public_key(),
        account_email=account["client_email"],
        account_key_id=account["private_key_id"],
        token_secret=secret_file.read_bytes(),
    )


def point_account_at(keys: Keys, token_uri: str) -> None:
    """Write the URL of the token endpoint into the service account's file."""
    account = json.loads(keys.account_file.read_bytes())
    if account["token_uri"] != token_uri:
        account["token_uri"] = token_uri
        write_private(keys.account_file, json.dumps(account, indent=2).encode())


def write_private(path: Path, content: bytes) -> None:
    """Write a file atomically, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    draft.replace(path)


def _authority(directory: Path) -> Authority:
    ca_file, key_file = directory / "ca.pem", directory / "ca-key.pem"
    if not (ca_file.exists() and key_file.exists()):
        made = Authority.create()
        write_private(key_file, pem(made.key))
        write_private(ca_file, made.ca_pem())
    certificate = x509.load_pem_x509_certificate(ca_file.read_bytes())
    return Authority(certificate, _elliptic(key_file.read_bytes()))


def _make_missing(path: Path, make: Callable[[], bytes]) -> None:
    if not path.exists():
        write_private(path, make())


def _elliptic(content: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(content, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve key")
    return key


def _account_key(account: dict[str, str]) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(account["private_key"].encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the service account holds no RSA key")
    return key


def _service_account() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private_key = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    email = f"pusher@{PROJECT}.iam.gserviceaccount.com"
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": secrets.token_hex(20),
        "private_key": private_key.decode(),
        "client_email": email,
        "client_id": str(secrets.randbelow(10**21)),
        "token_uri": "",
    }
    return json.dumps(account, indent=2).encode()
