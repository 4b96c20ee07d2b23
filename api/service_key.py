"""Compares what callers send with the service key, and limits guesses at it."""

import hmac
import re
import time
from collections.abc import Callable
from typing import NoReturn

from api.rate_limits import RateLimit
from models.errors import TooMany, Unauthorized

# Per address and process: too slow to guess a key of 16 characters.
GUESSES_PER_MINUTE = 60
# A token of a user, as `accounts.issue_token` makes them.
_is_user_token = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch


class ServiceKey:
    """The service key.

    From an address with too many wrong guesses, the right key is refused, too: else the
    guesses would go on. Tokens of users are looked up in any case, so nobody else at
    the address notices.
    """

    def __init__(self, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = key.encode()
        self._may_look_like_a_token = bool(_is_user_token(key))
        self._guesses = RateLimit(GUESSES_PER_MINUTE, clock)

    def matches(self, text: str, address: str) -> bool:
        """Whether it is the key; False if the address may not guess now."""
        return not self._is_limited(address) and hmac.compare_digest(
            text.encode(), self._key
        )

    def refuse(self, text: str, address: str) -> NoReturn:
        """Count a wrong guess; raises TooMany above the limit, else Unauthorized.

        An old token of a user is no guess: whoever sends it may share the address of a
        proxy with the service.
        """
        if self._may_look_like_a_token or not _is_user_token(text):
            self._guesses.take(address)
        raise Unauthorized

    def derive(self, purpose: bytes) -> bytes:
        """A key for another purpose: a signature made with it opens nothing else."""
        return hmac.digest(self._key, purpose, "sha256")

    def _is_limited(self, address: str) -> bool:
        try:
            self._guesses.check(address)
        except TooMany:
            return True
        return False
