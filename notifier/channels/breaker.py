"""Leaving a provider alone for a while that cannot or will not serve us."""

import time
from collections.abc import Callable

from notifier.channels import CredentialsRefused
from notifier.outcome import RETRY_AFTER_MAX_S, ChannelDown

# An outage: look again after 1, 2, 4 … 60 seconds.
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
# Refused credentials are mended by people: look again, but not in a hurry.
CREDENTIALS_PAUSE_S = 60.0
# So many errors in a row are the provider's trouble and not one device's.
SERVER_ERRORS_IN_A_ROW = 20


class Breaker:
    """Closed while pushes pass; open while they would be in vain.

    When an opening's pause is over, one push goes ahead as a probe: it closes the
    breaker, or opens it for another pause.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open_until: float | None = None
        self._reason = ""
        self._is_refusal = False
        self._probing = False
        self._pause_s = FIRST_PAUSE_S
        # Errors of the provider's own since the last other answer.
        self.server_errors = 0

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    @property
    def refusal(self) -> str | None:
        """Why our credentials are refused, while they are."""
        return self._reason if self.is_open and self._is_refusal else None

    def check(self) -> None:
        """Raise what opened it, if its pause is not over yet."""
        left_s = (self._open_until or 0.0) - self._clock()
        if not self.is_open or left_s <= 0:
            return
        if self._is_refusal:
            raise CredentialsRefused(self._reason, retry_after_s=left_s)
        raise ChannelDown(self._reason, retry_after_s=left_s)

    def begin_probe(self) -> None:
        """What comes next decides whether it closes."""
        self._probing = True

    def end_probe(self) -> None:
        """Close, unless the probe has met new trouble."""
        if self._probing:
            self.close()

    def close(self) -> None:
        self._open_until = None
        self._probing = False
        self._pause_s = FIRST_PAUSE_S
        self.server_errors = 0

    def refused(self, reason: str) -> None:
        """Our credentials were refused."""
        self._open(reason, CREDENTIALS_PAUSE_S, is_refusal=True)

    def down(self, reason: str, retry_after_s: float | None = None) -> None:
        """The provider could not be reached."""
        self._pause(reason, min(retry_after_s or 0.0, LONGEST_PAUSE_S))

    def put_off(self, reason: str, retry_after_s: float | None = None) -> None:
        """The provider wants nothing more on this route for so long.

        It knows when that will be over, unlike one that is down; so it is believed
        for longer than our own pauses last.
        """
        self._pause(reason, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))

    def count_server_error(
        self, reason: str, retry_after_s: float | None = None
    ) -> None:
        """The provider answered with an error of its own."""
        self.server_errors += 1
        if self._probing or self.server_errors >= SERVER_ERRORS_IN_A_ROW:
            self.down(reason, retry_after_s)

    def _pause(self, reason: str, least_s: float) -> None:
        if self._open(reason, max(self._pause_s, least_s), is_refusal=False):
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _open(self, reason: str, pause_s: float, *, is_refusal: bool) -> bool:
        """Open it; what was under way before it opened changes nothing any more."""
        if self.is_open and not self._probing:
            return False
        self._open_until = self._clock() + pause_s
        self._probing = False
        self._reason, self._is_refusal = reason, is_refusal
        self.server_errors = 0
        return True
