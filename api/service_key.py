"""Compares what callers send with the service keys, and limits guesses at them."""

import hmac
import logging
import re
import time
from collections.abc import Callable
from typing import NoReturn

from api.rate_limits import RateLimit
from models.errors import TooMany, Unauthorized

log = logging.getLogger(__name__)

# Per address and process: too slow to guess a key of 16 characters.
GUESSES_PER_MINUTE = 60
# How often a process tells that the old key is still in use.
TELL_EVERY_S = 3600.0
# A token of a user, as `accounts.issue_token` makes them.
_is_user_token = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch


class ServiceKey:
    """The service key; while it is rotated, beside the one before.

    From an address with too many wrong guesses, the right key is refused, too: else the
    guesses would go on. Tokens of users are looked up in any case, so nobody else at
    the address notices.
    """

    def __init__(
        self,
        key: str,
        old: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # The newest one first; it alone signs.
        self._keys = [each.encode() for each in (key, old) if each is not None]
        self._may_look_like_a_token = any(
            _is_user_token(each) for each in (key, old) if each is not None
        )
        self._clock = clock
        self._tell_at = clock()
        self._guesses = RateLimit(GUESSES_PER_MINUTE, clock)

    def matches(self, text: str, address: str) -> bool:
        """Whether it is a key; False if the address may not guess now."""
        if self._is_limited(address):
            return False
        sent = text.encode()
        # All are compared, so that the time does not tell which one fits.
        fits = [hmac.compare_digest(sent, key) for key in self._keys]
        if any(fits[1:]):
            self._tell_of_old_key(address)
        return any(fits)

    def _tell_of_old_key(self, address: str) -> None:
        """The operator may remove the old key when this warning no longer comes."""
        now = self._clock()
        if now >= self._tell_at:
            self._tell_at = now + TELL_EVERY_S
            log.warning("a caller at %s still uses BOTTLEPOST_SERVICE_KEY_OLD", address)

    def refuse(self, text: str, address: str) -> NoReturn:
        """Count a wrong guess; raises TooMany above the limit, else Unauthorized.

        An old token of a user is no guess: whoever sends it may share the address of a
        proxy with the service.
        """
        if self._may_look_like_a_token or not _is_user_token(text):
            self._guesses.take(address)
        raise Unauthorized

    def derive(self, purpose: bytes) -> list[bytes]:
        """Keys for another purpose: a signature made with one opens nothing else.

        The first one signs; signatures made with any of them are valid.
        """
        return [hmac.digest(key, purpose, "sha256") for key in self._keys]

    def fingerprint(self, text: str) -> str:
        """Tells in a log which of the keys it was, and nothing about it."""
        return hmac.digest(text.encode(), b"fingerprint", "sha256").hex()[:8]

    def _is_limited(self, address: str) -> bool:
        try:
            self._guesses.check(address)
        except TooMany:
            return True
        return False
