"""How long certificates are valid, in words for the operator."""

from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

OURS = "the client certificate for APNs"
# Apple's certificates live a year, and a new one takes a person with an account.
WARN_AHEAD = timedelta(days=30)


def end_of(path: Path) -> datetime:
    """When the certificate in a PEM file ends.

    Raises ValueError naming a file that holds none.
    """
    try:
        # The first one is ours; others lead from it to the authority.
        first = x509.load_pem_x509_certificates(path.read_bytes())[0]
        return first.not_valid_after_utc
    except (ValueError, OSError) as problem:
        raise ValueError(f"{path} holds no readable certificate") from problem


def notice(end: datetime, now: datetime, what: str = OURS) -> str | None:
    """What the operator has to know: that it has ended, or will within 30 days."""
    if now >= end:
        return expiry(end, what)
    if now >= end - WARN_AHEAD:
        return f"{what} expires on {day(end)}: renew it"
    return None


def expiry(end: datetime, what: str = OURS) -> str:
    return f"{what} has expired, on {day(end)}"


def day(moment: datetime) -> str:
    """The time of an end, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
