"""Reporting to the operator, once, what only the operator can repair."""

import logging
import time
from collections.abc import Callable

from notifier.channels import Troubles

log = logging.getLogger(__name__)

# The datastore keeps no longer names.
MAX_NAME = 200
# The state is published again so often: another process may have published another.
REPEAT_S = 60.0


class Alarm:
    """Reports a refusal of our credentials or an outage, and the end of it, once each.

    `name` begins with the platform; `explain` puts a refusal in words for people.
    """

    def __init__(
        self,
        name: str,
        troubles: Troubles,
        explain: Callable[[str], str] = str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name[:MAX_NAME]
        self._troubles = troubles
        self._explain = explain
        self._clock = clock
        self._trouble: str | None = None
        # The way to the provider is the trouble, and not our credentials.
        self._is_outage = False
        # Until the first report, one of an earlier process may still be published.
        self._repeat_at: float | None = None

    async def update(self, trouble: str | None, *, is_outage: bool = False) -> None:
        """Report why our credentials are refused; None when a push was accepted.

        With `is_outage`, the provider cannot be reached, or does not answer.
        """
        is_news = trouble != self._trouble
        now = self._clock()
        is_first = self._repeat_at is None
        if not is_news and self._repeat_at is not None and now < self._repeat_at:
            return
        self._repeat_at = now + REPEAT_S
        if is_news:
            self._log(trouble, is_outage)
        # Set before the await, so that concurrent pushes do not repeat the report.
        self._trouble, self._is_outage = trouble, is_outage
        await self._troubles.report(self._name, trouble)
        if is_first:
            # An earlier process may have reported credentials it could not read.
            await self._troubles.report(self._name.split()[0], None)

    async def end_outage(self) -> None:
        """The provider has answered, whatever it says."""
        if self._is_outage:
            await self.update(None)

    def _log(self, trouble: str | None, is_outage: bool) -> None:
        if trouble is not None:
            words = trouble if is_outage else self._explain(trouble)
            refuses = "is out of reach" if is_outage else "refuses our credentials"
            log.error("%s %s: %s", self._name, refuses, words)
        elif self._trouble is not None:
            takes = "is in reach" if self._is_outage else "takes our credentials"
            log.warning("%s %s again", self._name, takes)
