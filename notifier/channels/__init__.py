"""Push providers, one folder each; here the protocols between them and the engine."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from models.pushes import Notification, Target
from notifier.outcome import Outcome

# Called with targets whose pushes ended alike.
Report = Callable[[Sequence[Target], Outcome], None]


class MintedToken(NamedTuple):
    """A new access token for a provider."""

    token: str
    # How long the provider accepts it.
    lifetime_s: float


class ProviderTokens(Protocol):
    """Access tokens that all processes and hosts share; one at a time renews them."""

    async def get(self, name: str, mint: Callable[[], Awaitable[MintedToken]]) -> str:
        """The shared token of that name; `mint` is awaited only if we renew it.

        Raises what `mint` raises (ChannelDown, or CredentialsRefused).
        """

    async def refused(self, name: str, token: str) -> None:
        """The provider called this token expired: the next `get` returns a new one."""


class CredentialsRefused(Exception):
    """The provider does not accept our credentials; only the operator can help."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Troubles(Protocol):
    """The shared record of what is wrong with providers.

    That are routes whose credentials are refused, hosts that are out of reach, those
    that do not exist, and platforms that no process is set up for.
    """

    async def report(self, route: str, reason: str | None) -> None:
        """Record why pushes of the route have to wait; None when it accepts them.

        Never raises, because pushes go on without it.
        """

    async def host_missing(self, host: str) -> datetime | None:
        """Record that a look-up found no such host; returns since when that is so.

        None if it could not be recorded: it never raises.
        """

    async def is_live(self, platform: str) -> bool:
        """Whether a process of any host is set up for the platform.

        True if that cannot be found out: it never raises.
        """

    async def host_found(self, host: str) -> None:
        """The host exists again. Never raises."""


class Channel(Protocol):
    """A push provider. The engine creates, uses and closes it on one event loop."""

    def render(self, notification: Notification) -> Any:
        """The job's payload, built once; the engine passes the result to `send`.

        Raises ValueError with the reason when it can never be sent by this channel.
        """

    async def send(
        self, rendered: Any, targets: Sequence[Target], report: Report
    ) -> None:
        """Push to every target; report each of them once, when its outcome is known.

        Returns when all have been reported. Raises ChannelDown when the provider
        cannot be reached: targets not reported by then are to be tried later.
        Calls run concurrently and share the connections.
        """

    @property
    def awaits_token(self) -> bool:
        """Whether pushes were handed over that wait for a provider token, not sent."""

    async def close(self) -> None:
        """Close the connections and abandon pushes under way. May be called twice."""
