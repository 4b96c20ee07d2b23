"""How a request shows who sends it: a token of the provider's, or a certificate."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from notifier.channels import MintedToken, ProviderTokens


class Authorization(Protocol):
    """Where a route has its provider token from."""

    async def token(self) -> str | None:
        """The token to send along; None when the connection itself is the proof.

        Raises CredentialsRefused, or ChannelDown when no token can be had now.
        """

    async def refused(self, token: str | None) -> None:
        """The provider called it expired; the next `token` is another one."""


class ByToken:
    """A token shared with all other processes."""

    def __init__(
        self,
        tokens: ProviderTokens,
        name: str,
        mint: Callable[[], Awaitable[MintedToken]],
    ) -> None:
        self._tokens = tokens
        self._name = name
        self._mint = mint

    async def token(self) -> str | None:
        return await self._tokens.get(self._name, self._mint)

    async def refused(self, token: str | None) -> None:
        if token is not None:
            await self._tokens.refused(self._name, token)


class ByCertificate:
    """The connection's client certificate; nothing is said in the requests."""

    async def token(self) -> str | None:
        return None

    async def refused(self, token: str | None) -> None:
        return None
