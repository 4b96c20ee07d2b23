"""A keyed digest of everything a push depends on: settings, key files and code.

Two processes with the same fingerprint push alike. The key is random and stays in the
run directory, so a fingerprint in a log tells nothing about a secret.
"""

import hmac
import sys
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from config import catalogue, smtp, vapid
from config.settings import Settings

# As many hexadecimal digits as a log line shows.
SHORT = 12
# Read by the web server alone: servers that differ only in these push alike. A setting
# that is missing here only causes a change of processes that was not needed.
WEB_ONLY = frozenset(
    {
        "host",
        "port",
        "tls_cert_file",
        "tls_key_file",
        "workers",
        "trusted_proxies",
        # Nothing is signed with it.
        "service_key_old",
        "jwt_key_file",
        "jwt_jwks_file",
        "jwt_audience",
        "jwt_issuer",
        "jwt_subject",
        "demo_file",
        # Engines read the kinds from the database.
        "kinds_file",
        "user_sends_per_minute",
        "chat_sends_per_minute",
        "add_members",
        "user_adds_per_hour",
        "message_days",
        "client_id_days",
        "access_log",
        "cors_origins",
    }
)
# What a push shows, and how it reaches the providers; the same on all hosts.
OF_PUSHES = (
    "push_preview",
    "catalogue_dir",
    "missing_platform",
    "apns_url",
    "apns_sandbox_url",
    "apns_key_file",
    "apns_key_id",
    "apns_team_id",
    "apns_cert_file",
    "apns_topic",
    "fcm_url",
    "fcm_credentials_file",
    "smtp_url",
    "smtp_from",
    "smtp_unsubscribe",
    "smtp_digest_s",
    "public_url",
    "service_key",
    "vapid_subject",
    "vapid_key_file",
    "webpush_allow",
)
_PACKAGES = ("config", "datastore", "models", "notifier")


def of(settings: Settings, key: bytes) -> str:
    """The fingerprint of all settings that a push depends on, and of the code."""
    names = [each.name for each in fields(settings) if each.name not in WEB_ONLY]
    parts = (
        part for name in names for part in (name.encode(), _content(settings, name))
    )
    return _digest(key, (*parts, code().encode()))


def of_each(settings: Settings, key: bytes, names: Iterable[str]) -> dict[str, str]:
    """The fingerprint of each setting by itself, to name those that differ."""
    return {
        name: _digest(key, (name.encode(), _content(settings, name)))[:SHORT]
        for name in names
    }


@cache
def code() -> str:
    """A digest of our code, and of Python's version.

    Call it early: afterwards the files may be replaced by those of a newer version.
    """
    root = Path(__file__).parent.parent
    kinds = ("*.py", "*.json")
    folders = [(root / name, kind) for name in _PACKAGES for kind in kinds]
    files = sorted(path for folder, kind in folders for path in folder.rglob(kind))
    parts = [sys.version.encode()]
    for path in files:
        parts += str(path.relative_to(root)).encode(), _read(path) or b""
    return _digest(b"", parts)


def summary(settings: Settings) -> str:
    """The settings that matter most to pushes, on one line and without secrets."""
    shown = {
        "preview": settings.push_preview,
        "dispatcher": settings.dispatcher,
        "database": _place(settings.database_url),
        "apns": "key" if settings.apns_key_id else _of_certificate(settings),
        "topic": settings.apns_topic,
        "fcm": settings.fcm_credentials_file and settings.fcm_credentials_file.name,
        "web push": settings.vapid_subject and "on",
        # The domain alone: the whole address may be that of a person.
        "mail": settings.smtp_from and smtp.sender(settings.smtp_from).domain,
        "proxy": settings.push_proxy and _place(settings.push_proxy),
        "code": code()[:SHORT],
    }
    return ", ".join(f"{name} {text}" for name, text in shown.items() if text)


def _of_certificate(settings: Settings) -> str | None:
    return "certificate" if settings.apns_cert_file else None


def _place(url: str) -> str:
    """A URL without user, password and options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "?"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _content(settings: Settings, name: str) -> bytes:
    """The value of a setting; the content of a file, wherever it is."""
    value = getattr(settings, name)
    if name == "service_key" and settings.public_url is None:
        # Only the links in mails are signed with a key that is derived from it.
        value = None
    if name == "vapid_key_file" and value is None and settings.vapid_subject:
        value = settings.run_dir / vapid.FILE_NAME
    if isinstance(value, Path) and name == "catalogue_dir":
        return catalogue.content(value)
    if isinstance(value, Path):
        content = _read(value)
        return str(value).encode() if content is None else content
    return repr(value).encode()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        # A directory, or a file that is to come.
        return None


def _digest(key: bytes, parts: Iterable[bytes]) -> str:
    # The length in front of each part keeps the borders between parts.
    digest = hmac.new(key, digestmod=sha256)
    for part in parts:
        digest.update(b"%d:%b" % (len(part), part))
    return digest.hexdigest()
