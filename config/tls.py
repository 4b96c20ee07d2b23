"""The certificate with which the server itself speaks TLS, checked at the start."""

import ssl
from datetime import datetime
from pathlib import Path

from config import certificates
from config.environment import SettingsError

CERT_FILE = "BOTTLEPOST_TLS_CERT_FILE"
KEY_FILE = "BOTTLEPOST_TLS_KEY_FILE"


def check(cert_file: Path, key_file: Path) -> None:
    """Raises SettingsError for files with which no TLS server could start."""
    try:
        certificates.end_of(cert_file)
    except ValueError as problem:
        raise SettingsError(CERT_FILE, str(problem)) from None
    try:
        # Without a password, OpenSSL would ask for one on the terminal.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert_file, key_file, password=lambda: "")
    except (OSError, ValueError) as problem:
        raise SettingsError(KEY_FILE, _reason(key_file, problem)) from None


def _reason(key_file: Path, problem: Exception) -> str:
    if isinstance(problem, ssl.SSLError) and problem.reason == "KEY_VALUES_MISMATCH":
        return f"{key_file} is not the key of the certificate in {CERT_FILE}"
    if "ENCRYPTED" in key_file.read_text(errors="replace"):
        return f"{key_file} is encrypted: write it without a password"
    return f"{key_file} holds no private key that can be read"


def notice(cert_file: Path | None, now: datetime) -> str | None:
    """What the operator has to know: that the certificate ends soon, or has ended."""
    if cert_file is None:
        return None
    end = certificates.end_of(cert_file)
    if now >= end:
        return f"the certificate has expired, on {end:%Y-%m-%d %H:%M} UTC: renew it"
    if now >= end - certificates.WARN_AHEAD:
        return f"the certificate expires on {end:%Y-%m-%d %H:%M} UTC: renew it"
    return None
