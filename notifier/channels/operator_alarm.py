"""Reporting to the operator, once, that a provider refuses our credentials."""

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
        # Until the first report, one of an earlier process may still be published.
        self._has_reported = False

    async def update(self, refusal: str | None) -> None:
        """Report why our credentials are refused; None when they were accepted."""
        if refusal == self._refusal and self._has_reported:
            return
        if refusal is not None:
            words = self._explain(refusal)
            log.error("%s refuses our credentials: %s", self._name, words)
        elif self._refusal is not None:
            log.warning("%s takes our credentials again", self._name)
        is_first, self._has_reported = not self._has_reported, True
        # Set before the await, so that concurrent pushes do not repeat the report.
        self._refusal = refusal
        await self._troubles.report(self._name, refusal)
        if is_first:
            # An earlier process may have reported credentials it could not read.
            await self._troubles.report(self._name.split()[0], None)
