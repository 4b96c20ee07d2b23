"""How a request is authorized: by a provider token, or by a client certificate."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from notifier.channels import MintedToken, ProviderTokens


class Authorization(Protocol):
    """The source of a route's provider token."""

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a token just now."""

    async def token(self) -> str | None:
        """The token to send; None when the connection itself proves who we are.

        Raises CredentialsRefused, or ChannelDown when no token is available now.
        """

    async def token_expired(self, token: str | None) -> None:
        """The provider called the token expired; the next `token` is a new one."""


class TokenAuthorization:
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
        # Calls under way.
        self._calls = 0

    @property
    def is_awaited(self) -> bool:
        return self._calls > 0

    async def token(self) -> str | None:
        self._calls += 1
        try:
            return await self._tokens.get(self._name, self._mint)
        finally:
            self._calls -= 1

    async def token_expired(self, token: str | None) -> None:
        if token is None:
            return
        self._calls += 1
        try:
            await self._tokens.refused(self._name, token)
        finally:
            self._calls -= 1


class CertificateAuthorization:
    """The client certificate of the connection; requests carry no token."""

    is_awaited = False

    async def token(self) -> str | None:
        return None

    async def token_expired(self, token: str | None) -> None:
        return None
