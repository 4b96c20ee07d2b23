"""The signatures of senders: VAPID (RFC 8292)."""

import re
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.browsers.browser import CURVE, POINT_SIZE, unb64
from sandbox.browsers.manners import WebpushRefusal
from sandbox.browsers.rules import DAY_S
from sandbox.control.counters import Counters

# Tokens with a valid signature that are remembered.
KEPT = 10_000
LEEWAY_S = 60
_SCHEME = re.compile(r"vapid\s+(.+)", re.IGNORECASE)
_MAILBOX = re.compile(r"mailto:[^\s<>@]+@([^\s<>@]+)")
_PRIVATE = ("localhost", "local", "invalid")


class Verified(NamedTuple):
    """A token whose signature is valid."""

    key: str
    expires_at: float
    is_for: str
    has_public_contact: bool


class Signatures:
    """Checks signatures; each is verified once."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._known: dict[str, Verified] = {}

    def check(self, authorization: str | None, origin: str, *, contact: bool) -> str:
        """Return the sender's key; `contact`: the service looks at `sub`."""
        if not authorization:
            raise WebpushRefusal("no-vapid")
        verified = self._known.get(authorization)
        if verified is None:
            verified = self._known[authorization] = _verify(authorization)
            self._counters.count("webpush_jwts_seen")
            if len(self._known) > KEPT:
                self._known.clear()
        if verified.is_for != origin:
            raise WebpushRefusal("vapid", f"aud is not {origin}")
        left_s = verified.expires_at - time.time()
        if not 0 < left_s <= DAY_S + LEEWAY_S:
            raise WebpushRefusal("vapid", "exp is not within the next 24 hours")
        if contact and not verified.has_public_contact:
            raise WebpushRefusal("vapid", "sub is no public address")
        return verified.key

    def clear(self) -> None:
        self._known.clear()


def _verify(authorization: str) -> Verified:
    found = _SCHEME.fullmatch(authorization)
    if found is None:
        raise WebpushRefusal("no-vapid")
    pairs = (part.strip().partition("=") for part in found[1].split(","))
    values = {name: value.strip('"') for name, _, value in pairs}
    token, key = values.get("t", ""), values.get("k", "")
    public = _key(key)
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            public,
            algorithms=["ES256"],
            options={"verify_exp": False, "verify_aud": False, "verify_sub": False},
        )
    except jwt.PyJWTError as error:
        raise WebpushRefusal("vapid", str(error)) from error
    expires_at = claims.get("exp")
    # A bool is an int to Python only.
    if not isinstance(expires_at, int | float) or isinstance(expires_at, bool):
        raise WebpushRefusal("vapid", "exp is no number")
    subject = claims.get("sub")
    return Verified(key, expires_at, str(claims.get("aud")), _is_public(subject))


def _key(text: str) -> ec.EllipticCurvePublicKey:
    try:
        point = unb64(text)
        if len(point) != POINT_SIZE:
            raise ValueError("not 65 bytes")
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)
    except ValueError:
        raise WebpushRefusal("vapid-key") from None


def _is_public(subject: Any) -> bool:
    """Whether it is an address at a public name; Apple takes no other."""
    if not isinstance(subject, str) or re.search(r"[\s<>]", subject):
        return False
    mailbox = _MAILBOX.fullmatch(subject)
    if mailbox is None and not subject.startswith("https://"):
        return False
    host = mailbox[1] if mailbox else urlsplit(subject).hostname or ""
    return bool(host) and host.lower().rpartition(".")[2] not in _PRIVATE
