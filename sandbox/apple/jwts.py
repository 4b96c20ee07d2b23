"""Apple's provider tokens: JSON Web Tokens signed with the key of a team."""

import time
from typing import NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import keys
from sandbox.apple.apns_errors import ApnsRefusal
from sandbox.control.counters import Counters
from sandbox.control.rules import Rules

# Tolerated difference between clocks, for tokens issued in the future.
LEEWAY_S = 60


class VerifiedToken(NamedTuple):
    """A token with a valid signature, remembered for its next use."""

    issued_at: int
    # It came too soon after the token before, so it is never accepted.
    is_too_soon: bool = False


class ProviderTokens:
    """Checks provider tokens; the signature of each is verified once."""

    def __init__(
        self, key: ec.EllipticCurvePublicKey, rules: Rules, counters: Counters
    ) -> None:
        self._key = key
        self._rules = rules
        self._counters = counters
        self._known: dict[str, VerifiedToken] = {}
        self._expired: set[str] = set()
        self._renewed_at: float | None = None

    def check(self, authorization: str | None) -> None:
        """Raise ApnsRefusal unless this is a valid token."""
        if not authorization:
            raise ApnsRefusal(403, "MissingProviderToken")
        scheme, _, token = authorization.partition(" ")
        if scheme != "bearer" or not token:
            raise ApnsRefusal(403, "InvalidProviderToken")
        verified = self._known.get(token) or self._register(token)
        age_s = time.time() - verified.issued_at
        if token in self._expired or age_s > self._rules.apns_token_max_age_s:
            raise ApnsRefusal(403, "ExpiredProviderToken")
        if verified.is_too_soon:
            raise ApnsRefusal(429, "TooManyProviderTokenUpdates")

    def expire(self) -> None:
        """Let every token seen so far expire; a new one is accepted at once."""
        self._expired.update(self._known)
        self._renewed_at = None

    def clear(self) -> None:
        """Forget all tokens."""
        self._known.clear()
        self._expired.clear()
        self._renewed_at = None

    def _register(self, token: str) -> VerifiedToken:
        verified = self._verify(token)
        self._counters.count("apns_jwts_seen")
        now = time.monotonic()
        interval_s = self._rules.apns_token_update_s
        if self._renewed_at is not None and now - self._renewed_at < interval_s:
            verified = verified._replace(is_too_soon=True)
        elif time.time() - verified.issued_at <= self._rules.apns_token_max_age_s:
            self._renewed_at = now
        self._known[token] = verified
        return verified

    def _verify(self, token: str) -> VerifiedToken:
        try:
            head = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["ES256"],
                options={"verify_iat": False, "verify_exp": False, "verify_aud": False},
            )
        except jwt.PyJWTError as error:
            raise ApnsRefusal(403, "InvalidProviderToken") from error
        issued_at = claims.get("iat")
        if head.get("kid") != keys.KEY_ID or claims.get("iss") != keys.TEAM_ID:
            raise ApnsRefusal(403, "InvalidProviderToken")
        # Apple wants whole seconds; a bool is an int to Python only.
        if type(issued_at) is not int or issued_at > time.time() + LEEWAY_S:
            raise ApnsRefusal(403, "InvalidProviderToken")
        return VerifiedToken(issued_at)
