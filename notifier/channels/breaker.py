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
# When the failures of devices opened it, this many others may show before the end of
# the pause that the provider serves us.
EARLY_PROBES = 3


class Breaker:
    """Closed while pushes succeed, open while they would fail.

    It opens for a pause. After the pause, one push is the probe (half-open): it closes
    the breaker, or opens it for another pause. Who opens it decides whether a failure
    is the provider's or the device's (see `route_health`).
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open_until: float | None = None
        self._reason = ""
        self._is_refusal = False
        self._is_half_open = False
        self._pause_s = FIRST_PAUSE_S
        # Whether failures of devices opened it, so that others may show the opposite.
        self._is_judged = False
        self._early_probes = 0

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
        left_s = self._left_s
        if left_s <= 0:
            return
        if self._is_refusal:
            raise CredentialsRefused(self._reason, retry_after_s=left_s)
        raise ChannelDown(self._reason, retry_after_s=left_s)

    @property
    def _left_s(self) -> float:
        return 0.0 if self._open_until is None else self._open_until - self._clock()

    @property
    def may_probe_early(self) -> bool:
        """Whether a device that has not failed may be tried before the pause ends."""
        return self.is_open and self._early_probes > 0 and self._left_s > 0

    def begin_early_probe(self) -> None:
        """If it fails, nothing changes."""
        self._early_probes -= 1

    def accept(self) -> bool:
        """A push was accepted: close, unless the provider wants us to wait.

        True if this contradicts the devices that it was opened for.
        """
        is_early = self._left_s > 0
        if self._is_judged or not is_early:
            self.close()
        return self._is_judged and is_early

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

    def open_for_refusal(self, reason: str, *, is_judged: bool = False) -> None:
        """Our credentials were refused; `is_judged` if this is known from devices."""
        if self._open(reason, CREDENTIALS_PAUSE_S, is_refusal=True):
            self._set_judged(is_judged)

    def open_for_outage(
        self,
        reason: str,
        retry_after_s: float | None = None,
        *,
        is_judged: bool = False,
    ) -> None:
        """The provider fails; `is_judged` if this is known from devices."""
        if self._pause(reason, min(retry_after_s or 0.0, LONGEST_PAUSE_S)):
            self._set_judged(is_judged)

    def _set_judged(self, is_judged: bool) -> None:
        self._is_judged = is_judged
        self._early_probes = EARLY_PROBES if is_judged else 0

    def open_for_rate_limit(
        self, reason: str, retry_after_s: float | None = None
    ) -> None:
        """The provider accepts nothing more on this route before a given time.

        Unlike a provider that is down, it knows that time, so the pause may be longer
        than our own pauses.
        """
        self._pause(reason, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))

    def _pause(self, reason: str, least_s: float) -> bool:
        if not self._open(reason, max(self._pause_s, least_s), is_refusal=False):
            return False
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        return True

    def _open(self, reason: str, pause_s: float, *, is_refusal: bool) -> bool:
        """Open it, unless it is open: late results of earlier pushes change nothing."""
        if self.is_open and not self._is_half_open:
            return False
        self._open_until = self._clock() + pause_s
        self._is_half_open = False
        self._reason, self._is_refusal = reason, is_refusal
        self._set_judged(False)
        return True
