"""Reporting to the operator, once, what only the operator can repair."""

import logging
from collections.abc import Callable

from notifier.channels import Troubles

log = logging.getLogger(__name__)

# The datastore keeps no longer names.
MAX_NAME = 200


class Alarm:
    """Reports a refusal of our credentials, and the end of it, once each.

    `name` begins with the platform; `explain` puts a refusal in words for people.
    """

    def __init__(
        self, name: str, troubles: Troubles, explain: Callable[[str], str] = str
    ) -> None:
        self._name = name[:MAX_NAME]
        self._troubles = troubles
        self._explain = explain
        self._refusal: str | None = None
        # It was our proxy that refused, and not the provider.
        self._is_proxys = False
        # Until the first report, one of an earlier process may still be published.
        self._has_reported = False

    async def update(self, refusal: str | None, *, is_proxys: bool = False) -> None:
        """Report why our credentials are refused; None when they were accepted.

        With `is_proxys`, it is our proxy that refuses the way to the provider.
        """
        if refusal == self._refusal and self._has_reported:
            return
        if refusal is not None:
            words = self._explain(refusal)
            refuses = "is out of reach" if is_proxys else "refuses our credentials"
            log.error("%s %s: %s", self._name, refuses, words)
        elif self._refusal is not None:
            takes = "is in reach" if self._is_proxys else "takes our credentials"
            log.warning("%s %s again", self._name, takes)
        is_first, self._has_reported = not self._has_reported, True
        # Set before the await, so that concurrent pushes do not repeat the report.
        self._refusal, self._is_proxys = refusal, is_proxys
        await self._troubles.report(self._name, refusal)
        if is_first:
            # An earlier process may have reported credentials it could not read.
            await self._troubles.report(self._name.split()[0], None)
