"""The files with keys and certificates, parsed to tell at the start what is wrong.

Each reader raises ValueError, whose message follows the name of the file or of its
variable and says what helps. OpenSSL's own words would not.
"""

import json
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config import certificates, public_keys, vapid
from config.certificates import day
from config.environment import SettingsError
from config.pem import with_line_ends
from config.settings import Settings

T = TypeVar("T")

APNS_CERT_FILE = "BOTTLEPOST_APNS_CERT_FILE"
CERTIFICATE = "CERTIFICATE"
P8 = (
    "needed is the .p8 file of an APNs key (developer.apple.com, Certificates,"
    " Identifiers & Profiles, Keys)"
)
SERVICE_ACCOUNT = (
    "needed is the JSON key of a service account (console.firebase.google.com, Project"
    " settings, Service accounts, Generate new private key)"
)
# Files of Google that are taken for that one: a key in them, and what they are.
_OTHER_JSON = {
    "project_info": "is google-services.json, which belongs into the Android app",
    "apiKey": "is the configuration of a web app",
    "installed": "holds an OAuth client's id",
    "web": "holds an OAuth client's id",
}
_OTHER_TYPES = {
    "authorized_user": "holds the login of a person (gcloud auth application-default)",
}
# It stands in the path of each push; old ones have a domain in front.
_is_project = re.compile(r"[A-Za-z0-9.:_-]{1,100}").fullmatch
_labels_in = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----").findall


def apns_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key that signs provider tokens for APNs."""
    content = with_line_ends(_read(path))
    labels = _labels(content)
    if CERTIFICATE in labels:
        what = "a certificate with its key" if _has_key(labels) else "a certificate"
        raise ValueError(f"holds {what}, which belongs into {APNS_CERT_FILE}; {P8}")
    key = _private_key(content, labels, P8)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"holds no key on the curve P-256; {P8}")
    if not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(f"holds a key on {key.curve.name}, and not on P-256; {P8}")
    return key


def client_certificate(path: Path) -> x509.Certificate:
    """The certificate by which APNs knows us; its private key is in the file, too."""
    content = _read(path)
    labels = _labels(content)
    if not labels:
        raise ValueError(
            f"{_what(content)}, not PEM: openssl pkcs12 -in FILE.p12 -out FILE.pem"
            " -nodes converts it"
        )
    if CERTIFICATE not in labels:
        raise ValueError(
            "holds no certificate: put the certificate and its private key into one"
            " file"
        )
    if not _has_key(labels):
        raise ValueError(
            "holds a certificate without its private key: append the key to the file"
        )
    certificate = _certificates(content)[0]
    key = _private_key(content, labels, "remove the password with openssl pkey")
    if key.public_key() != certificate.public_key():
        raise ValueError("holds a certificate and the private key of another one")
    return certificate


def service_account(path: Path) -> dict[str, Any]:
    """The fields of a service account for FCM, whose private key can be loaded."""
    content = _read(path)
    try:
        account = json.loads(content)
    except (ValueError, RecursionError):
        is_cut = content.strip().startswith(b"{")
        what = "is damaged JSON" if is_cut else f"{_what(content)}, not JSON"
        raise ValueError(f"{what}; {SERVICE_ACCOUNT}") from None
    if not isinstance(account, dict):
        raise ValueError(f"holds no JSON object; {SERVICE_ACCOUNT}")
    for name, what in _OTHER_JSON.items():
        if name in account and "private_key" not in account:
            raise ValueError(f"{what}; {SERVICE_ACCOUNT}")
    kind = account.get("type", "service_account")
    if kind != "service_account":
        other = f"holds credentials of the type {str(kind)[:40]!r}"
        raise ValueError(f"{_OTHER_TYPES.get(str(kind), other)}; {SERVICE_ACCOUNT}")
    for name in ("project_id", "client_email", "token_uri", "private_key"):
        if not isinstance(account.get(name), str) or not account[name]:
            raise ValueError(f"has no {name} in it; {SERVICE_ACCOUNT}")
    if not _is_project(account["project_id"]):
        raise ValueError(f"has a project_id that is none; {SERVICE_ACCOUNT}")
    if not account["token_uri"].startswith("https://"):
        raise ValueError("has a token_uri that does not begin with https://")
    service_account_key(account)
    return account


def service_account_key(account: dict[str, Any]) -> rsa.RSAPrivateKey:
    """The key of a service account."""
    pem = with_line_ends(account["private_key"].encode())
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(
            "has a private_key that cannot be read: download the file again, because"
            " it was cut or changed"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"has a private_key that is not an RSA key; {SERVICE_ACCOUNT}")
    return key


def authorities(path: Path) -> list[x509.Certificate]:
    """The certificates of private authorities."""
    content = _read(path)
    labels = _labels(content)
    if CERTIFICATE not in labels:
        what = "holds no certificate" if labels else f"{_what(content)}, not PEM"
        raise ValueError(
            f"{what}; needed is the authority's certificate: openssl x509 -inform der"
            " -in FILE -out ca.pem converts it from DER"
        )
    found = _certificates(content)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError("holds a certificate that OpenSSL cannot use") from None
    return found


def named(path: Path, read: Callable[[Path], T]) -> T:
    """What the file holds; a ValueError names the file, for messages without a name."""
    try:
        return read(path)
    except ValueError as problem:
        raise ValueError(f"{path} {problem}") from problem


class KeyFile(NamedTuple):
    """A file of the settings."""

    variable: str
    path: Path
    # Says what it holds; raises ValueError.
    describe: Callable[[Path], str]
    # The certificates in it, whose time ends.
    certificates: Callable[[Path], list[x509.Certificate]] | None = None

    def ends(self) -> datetime | None:
        """When the first of its certificates ends; None if nothing in it does."""
        found = self.certificates(self.path) if self.certificates else []
        return min((each.not_valid_after_utc for each in found), default=None)


def of(settings: Settings) -> Iterator[KeyFile]:
    """The files that are set."""
    apple, google = settings.apns_cert_file, settings.fcm_credentials_file
    if settings.apns_key_file is not None:
        yield KeyFile("BOTTLEPOST_APNS_KEY_FILE", settings.apns_key_file, _of_apns)
    if apple is not None:
        found = _of_certificate, lambda path: [client_certificate(path)]
        yield KeyFile(APNS_CERT_FILE, apple, *found)
    if google is not None:
        yield KeyFile("BOTTLEPOST_FCM_CREDENTIALS_FILE", google, _of_account)
    if settings.ca_file is not None:
        yield KeyFile(
            "BOTTLEPOST_CA_FILE", settings.ca_file, _of_authorities, authorities
        )
    if settings.vapid_key_file is not None:
        yield KeyFile("BOTTLEPOST_VAPID_KEY_FILE", settings.vapid_key_file, _of_vapid)
    if settings.jwt_key_file is not None:
        yield KeyFile("BOTTLEPOST_JWT_KEY_FILE", settings.jwt_key_file, _of_jwt_key)
    if settings.jwt_jwks_file is not None:
        yield KeyFile("BOTTLEPOST_JWT_JWKS_FILE", settings.jwt_jwks_file, _of_jwks)


def check(settings: Settings) -> None:
    """Raise SettingsError for the first file that cannot be used."""
    for each in of(settings):
        try:
            each.describe(each.path)
        except ValueError as problem:
            raise SettingsError(each.variable, str(problem)) from None


def notices(settings: Settings, now: datetime) -> Iterator[str]:
    """The files with a certificate that has ended, or will soon."""
    for each in of(settings):
        end = each.ends()
        what = certificates.OURS if each.variable == APNS_CERT_FILE else "an authority"
        told = end and certificates.notice(end, now, what)
        if told:
            yield f"{each.variable}: {told}"


def _of_apns(path: Path) -> str:
    apns_key(path)
    return "the signing key for APNs"


def _of_certificate(path: Path) -> str:
    end = client_certificate(path).not_valid_after_utc
    return f"the client certificate for APNs, valid until {day(end)}"


def _of_account(path: Path) -> str:
    account = service_account(path)
    return f"the service account of the project {account['project_id']}"


def _of_authorities(path: Path) -> str:
    found = authorities(path)
    end = min(each.not_valid_after_utc for each in found)
    return f"authorities: {len(found)}, valid until {day(end)}"


def _of_vapid(path: Path) -> str:
    vapid.read(path)
    return "the key for web pushes"


def _of_jwt_key(path: Path) -> str:
    return f"a public key for {public_keys.of_pem(path)[0].algorithm_name}"


def _of_jwks(path: Path) -> str:
    return f"public keys: {len(public_keys.of_jwks(path))}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ValueError(f"cannot be read: {problem}") from None


def _labels(content: bytes) -> list[str]:
    # In JSON, a key is a string.
    is_json = content.strip().startswith((b"{", b"["))
    return [] if is_json else [label.decode() for label in _labels_in(content)]


def _has_key(labels: list[str]) -> bool:
    return any(label.endswith("PRIVATE KEY") for label in labels)


def _what(content: bytes) -> str:
    """What a file is that is not what it should be."""
    text = content.strip()
    if not text:
        return "is empty"
    if text.startswith((b"<?xml", b"bplist")):
        return "is a property list, such as GoogleService-Info.plist of an iOS app"
    if text.startswith((b"{", b"[")):
        return "is JSON"
    if labels := _labels(content):
        return f"is PEM ({labels[0]})"
    if b"\0" in content or not content.isascii():
        return "is binary (DER or PKCS#12)"
    return "is text without a key"


def _certificates(content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ValueError("holds a damaged certificate: copy it again") from None


def _private_key(content: bytes, labels: list[str], remedy: str) -> Any:
    if not _has_key(labels):
        what = f"holds a {labels[0].lower()}" if labels else _what(content)
        raise ValueError(f"{what}, not a private key in PEM; {remedy}")
    try:
        return load_pem_private_key(content, password=None)
    except TypeError:
        raise ValueError(f"holds a private key with a password; {remedy}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"holds a damaged private key; {remedy}") from None
