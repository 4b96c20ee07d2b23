"""Endpoints whose host does not exist any more, as the look-ups of a day say."""

from datetime import timedelta

from models.base import utc_now
from notifier.channels import CredentialsRefused, Troubles
from notifier.channels.batch import outcome_of
from notifier.channels.webpush.resolver import Resolver
from notifier.outcome import ChannelDown, Kind, Outcome

# A name may be missing for hours because of somebody's mistake.
LONGEST_ABSENCE = timedelta(days=1)
# Hosts that are remembered; a forgotten one is only noted for longer.
MOST_NOTED = 10_000


class MissingHosts:
    """Gives up pushes to hosts that have not existed for a day.

    All processes share the times, so a restart begins no new day.
    """

    def __init__(self, resolver: Resolver, troubles: Troubles) -> None:
        self._resolver = resolver
        self._troubles = troubles
        # Hosts that we have reported as missing.
        self._noted: set[str] = set()

    async def outcome(
        self, host: str, error: CredentialsRefused | ChannelDown
    ) -> Outcome:
        """The outcome of pushes to a host that could not be reached."""
        if not self._resolver.is_missing(host):
            return outcome_of(error)
        if len(self._noted) >= MOST_NOTED:
            self._noted.clear()
        self._noted.add(host)
        since = await self._troubles.host_missing(host)
        if since is None or utc_now() - since < LONGEST_ABSENCE:
            return outcome_of(error)
        day = since.strftime("%Y-%m-%d")
        return Outcome(Kind.SUSPECT, f"the host has not existed since {day}: {host}")

    async def reached(self, host: str) -> None:
        """The host exists; costs nothing unless we have reported it as missing."""
        if host in self._noted:
            self._noted.discard(host)
            await self._troubles.host_found(host)
