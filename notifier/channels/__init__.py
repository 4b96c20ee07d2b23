"""The ways to a device, one file each, and the registry that opens them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from models.pushes import Note, Target
from notifier.outcome import Outcome

Report = Callable[[Target, Outcome], None]


class MintedToken(Protocol):
    """A provider's access token, new from the mint."""

    token: str
    lifetime_s: float


class ProviderTokens(Protocol):
    """Access tokens shared by all processes and hosts, made by one at a time."""

    async def get(self, name: str, mint: Callable[[], Awaitable[MintedToken]]) -> str:
        """The shared token of that name; `mint` is awaited only if it is our turn.

        Raises what `mint` raises (ChannelDown, or CredentialsRefused).
        """

    async def refused(self, name: str, token: str) -> None:
        """The provider called this very token expired: the next `get` mints anew."""


class CredentialsRefused(Exception):
    """The provider does not take our credentials; nothing but the operator helps."""


class Channel(Protocol):
    """A provider of pushes. Made, used and closed on one event loop, by the engine."""

    def render(self, note: Note) -> Any:
        """The job's payload, built once; its result goes into `send` unread.

        Raises ValueError with the reason when this note can never be sent here.
        """

    async def send(
        self, rendered: Any, targets: Sequence[Target], report: Report
    ) -> None:
        """Push to every target; call `report` once for each, when its end is known.

        Returns when all have been reported. Raises ChannelDown when the provider
        cannot be reached: targets not reported by then are to be tried later.
        Several calls run at the same time and share the connections.
        """

    async def close(self) -> None:
        """End the connections; pushes under way are let go."""
