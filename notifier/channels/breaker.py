"""A circuit breaker: sends nothing to a provider that cannot or will not serve us."""

import time
from collections.abc import Callable

from notifier.channels import CredentialsRefused
from notifier.outcome import ChannelDown
from notifier.retry_delays import RETRY_AFTER_MAX_S

# An outage: probe after 1, 2, 4 … 60 seconds.
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
# The operator has to replace refused credentials, so there is no hurry to probe.
CREDENTIALS_PAUSE_S = 60.0
# This many errors in a row are an outage of the provider, not a fault of one device.
SERVER_ERRORS_IN_A_ROW = 20


class Breaker:
    """Closed while pushes succeed, open while they would fail.

    It opens for a pause. After the pause, one push is the probe (half-open): it closes
    the breaker, or opens it for another pause.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open_until: float | None = None
        self._reason = ""
        self._is_refusal = False
        self._is_half_open = False
        self._pause_s = FIRST_PAUSE_S
        # Errors of the provider's own since the last other response.
        self.server_errors = 0

    @property
    def is_open(self) -> bool:
        """Also true when the pause is over, until a probe succeeds."""
        return self._open_until is not None

    @property
    def refusal(self) -> str | None:
        """Why our credentials are refused, while they are."""
        return self._reason if self.is_open and self._is_refusal else None

    def check(self) -> None:
        """Raise the error that opened it, unless the pause is over."""
        left_s = (self._open_until or 0.0) - self._clock()
        if not self.is_open or left_s <= 0:
            return
        if self._is_refusal:
            raise CredentialsRefused(self._reason, retry_after_s=left_s)
        raise ChannelDown(self._reason, retry_after_s=left_s)

    def begin_probe(self) -> None:
        """Become half-open: the next result closes or reopens it."""
        self._is_half_open = True

    def end_probe(self) -> None:
        """Close, unless the probe has reopened it."""
        if self._is_half_open:
            self.close()

    def close(self) -> None:
        self._open_until = None
        self._is_half_open = False
        self._pause_s = FIRST_PAUSE_S
        self.server_errors = 0

    def open_for_refusal(self, reason: str) -> None:
        """Our credentials were refused."""
        self._open(reason, CREDENTIALS_PAUSE_S, is_refusal=True)

    def open_for_outage(self, reason: str, retry_after_s: float | None = None) -> None:
        """The provider could not be reached."""
        self._pause(reason, min(retry_after_s or 0.0, LONGEST_PAUSE_S))

    def open_for_rate_limit(
        self, reason: str, retry_after_s: float | None = None
    ) -> None:
        """The provider accepts nothing more on this route before a given time.

        Unlike a provider that is down, it knows that time, so the pause may be longer
        than our own pauses.
        """
        self._pause(reason, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))

    def count_server_error(
        self, reason: str, retry_after_s: float | None = None
    ) -> None:
        """The provider responded with an error of its own."""
        self.server_errors += 1
        if self._is_half_open or self.server_errors >= SERVER_ERRORS_IN_A_ROW:
            self.open_for_outage(reason, retry_after_s)

    def _pause(self, reason: str, least_s: float) -> None:
        if self._open(reason, max(self._pause_s, least_s), is_refusal=False):
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _open(self, reason: str, pause_s: float, *, is_refusal: bool) -> bool:
        """Open it, unless it is open: late results of earlier pushes change nothing."""
        if self.is_open and not self._is_half_open:
            return False
        self._open_until = self._clock() + pause_s
        self._is_half_open = False
        self._reason, self._is_refusal = reason, is_refusal
        self.server_errors = 0
        return True
