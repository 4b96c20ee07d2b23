"""Apple's provider tokens: JSON Web Tokens signed with the key of a team."""

import time
from typing import NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import keys
from sandbox.control.rules import Counters, Rules

# Clocks may differ by so much before a token counts as not yet valid.
LEEWAY_S = 60


class Refused(Exception):
    """A push that the provider does not take: status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Verdict(NamedTuple):
    """What is known of one token, however often it comes."""

    issued_at: int
    # Set when it came too soon after the one before: it is never taken.
    hasty: bool = False


class ProviderTokens:
    """Checks tokens; each is verified once and known again from then on."""

    def __init__(
        self, key: ec.EllipticCurvePublicKey, rules: Rules, counters: Counters
    ) -> None:
        self._key = key
        self._rules = rules
        self._counters = counters
        self._known: dict[str, Verdict] = {}
        self._expired: set[str] = set()
        self._renewed_at: float | None = None

    def check(self, authorization: str | None) -> None:
        """Raises Refused unless this is a good token."""
        if not authorization:
            raise Refused(403, "MissingProviderToken")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(403, "InvalidProviderToken")
        verdict = self._known.get(token) or self._meet(token)
        age_s = time.time() - verdict.issued_at
        if token in self._expired or age_s > self._rules.apns_token_max_age_s:
            raise Refused(403, "ExpiredProviderToken")
        if verdict.hasty:
            raise Refused(429, "TooManyProviderTokenUpdates")

    def expire(self) -> None:
        """Every token seen so far has expired; a new one is welcome at once."""
        self._expired.update(self._known)
        self._renewed_at = None

    def clear(self) -> None:
        """Start over, as if no token had been seen."""
        self._known.clear()
        self._expired.clear()
        self._renewed_at = None

    def _meet(self, token: str) -> Verdict:
        verdict = self._verify(token)
        self._counters.count("apns_jwts_seen")
        now = time.monotonic()
        soon = self._rules.apns_token_update_s
        if self._renewed_at is not None and now - self._renewed_at < soon:
            verdict = verdict._replace(hasty=True)
        elif time.time() - verdict.issued_at <= self._rules.apns_token_max_age_s:
            self._renewed_at = now
        self._known[token] = verdict
        return verdict

    def _verify(self, token: str) -> Verdict:
        try:
            head = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["ES256"],
                options={"verify_iat": False, "verify_exp": False, "verify_aud": False},
            )
        except jwt.PyJWTError as error:
            raise Refused(403, "InvalidProviderToken") from error
        issued_at = claims.get("iat")
        if head.get("kid") != keys.KEY_ID or claims.get("iss") != keys.TEAM_ID:
            raise Refused(403, "InvalidProviderToken")
        # Apple wants whole seconds; a bool is an int to Python only.
        if type(issued_at) is not int or issued_at > time.time() + LEEWAY_S:
            raise Refused(403, "InvalidProviderToken")
        return Verdict(issued_at)
