"""Signing requests to push services: VAPID (RFC 8292)."""

import time
from collections.abc import Callable

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from config import vapid

# At most 24 hours are allowed; half of that tolerates clocks that disagree.
LIFETIME_S = 12 * 3600 - 60
RENEW_AFTER_S = 6 * 3600


class Signer:
    """Signs for any origin with our key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, subject: str) -> None:
        self._key = key
        self._subject = subject
        self._public = vapid.encoded(key)

    def sign(self, origin: str, now: float) -> str:
        """The value of the authorization header, valid for that origin only."""
        claims = {"aud": origin, "exp": int(now) + LIFETIME_S, "sub": self._subject}
        token = jwt.encode(claims, self._key, algorithm="ES256")
        return f"vapid t={token}, k={self._public}"


class VapidAuthorization:
    """The authorization of one origin's route, signed twice in its lifetime."""

    is_awaited = False

    def __init__(
        self, signer: Signer, origin: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._signer = signer
        self._origin = origin
        self._clock = clock
        self._value: str | None = None
        self._signed_at = 0.0

    async def token(self) -> str | None:
        now = self._clock()
        # A clock that was set back renews it as well.
        if self._value is None or not 0 <= now - self._signed_at < RENEW_AFTER_S:
            self._value, self._signed_at = self._signer.sign(self._origin, now), now
        return self._value

    async def token_expired(self, token: str | None) -> None:
        self._value = None
