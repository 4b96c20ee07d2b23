"""One way's news about our credentials, told to the operator once."""

import logging
from collections.abc import Callable

from notifier.channels import Troubles

log = logging.getLogger(__name__)


class Alarm:
    """Tells when a provider refuses our credentials, and when it takes them again.

    `name` begins with the platform; `explain` puts a refusal in words for people.
    """

    def __init__(
        self, name: str, troubles: Troubles, explain: Callable[[str], str] = str
    ) -> None:
        self._name = name
        self._troubles = troubles
        self._explain = explain
        self._trouble: str | None = None
        # What an earlier process has left on the board is not known.
        self._has_told = False

    async def tell(self, trouble: str | None) -> None:
        """Why our credentials are refused now; None when they were accepted."""
        if trouble == self._trouble and self._has_told:
            return
        if trouble is not None:
            words = self._explain(trouble)
            log.error("%s refuses our credentials: %s", self._name, words)
        elif self._trouble is not None:
            log.warning("%s takes our credentials again", self._name)
        is_first, self._has_told = not self._has_told, True
        # Set before the wait, so that pushes at the same time don't repeat it.
        self._trouble = trouble
        await self._troubles.report(self._name, trouble)
        if is_first:
            # A process before us may have had credentials it could not even read.
            await self._troubles.report(self._name.split()[0], None)
