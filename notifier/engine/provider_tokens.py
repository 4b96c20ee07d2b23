"""Provider tokens shared by all processes and hosts, made by one of them at a time."""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from copy import copy
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from datastore import Datastore, provider_tokens
from datastore.provider_tokens import Token
from models.base import utc_now
from notifier.channels import CredentialsRefused, MintedToken
from notifier.outcome import ChannelDown

log = logging.getLogger(__name__)

T = TypeVar("T")

# A token is replaced so long before its end, or for short-lived ones in the last sixth.
EARLY_S = 300.0
EARLY_PART = 1 / 6
# Who makes a token has so long; then another process takes its turn.
TURN_S = 15.0
# The others look so often whether it is there, and give up after a while.
LOOK_AGAIN_S = 0.05
PATIENCE_S = 20.0
# While the old token is still good, a renewal that failed is not tried again before.
RENEW_AGAIN_S = 15.0
# Apple wants no more than one new token in 20 minutes, whatever it says of the last.
REFUSALS_APART = timedelta(minutes=20)


class Failure(NamedTuple):
    """A token that could not be had, and when that was known."""

    problem: ChannelDown | CredentialsRefused
    at: float


class SharedTokens:
    """What every engine asks for tokens; the datastore is behind it.

    Made and used on one event loop; queries run on the executor.
    """

    def __init__(self, store: Datastore, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        # In the table it stands for us; unlike that of any other process, ever.
        self._name = f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._known: dict[str, Token] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        # The last one of each name.
        self._failures: dict[str, Failure] = {}

    async def get(self, name: str, mint: Callable[[], Awaitable[MintedToken]]) -> str:
        """The shared token of that name; `mint` is awaited only if it is our turn.

        Raises what `mint` raises (ChannelDown, or CredentialsRefused), unless the
        token of before is good for some minutes still.
        """
        known = self._known.get(name)
        if known is not None and utc_now() < _renew_at(known):
            return known.token
        began_at = time.monotonic()
        lock = self._locks.setdefault(name, asyncio.Lock())
        good = self._good(name)
        has_failed = self._failure(name, since=began_at - RENEW_AGAIN_S) is not None
        if good is not None and (has_failed or lock.locked()):
            return good
        try:
            async with lock:
                return await self._look_once(name, mint, began_at)
        except (ChannelDown, CredentialsRefused):
            # Asked again: it may have come to its end, or been refused, meanwhile.
            good = self._good(name)
            if good is None:
                raise
            return good

    async def refused(self, name: str, token: str) -> None:
        """The provider called this very token expired: the next `get` mints anew.

        A second refusal within 20 minutes changes nothing: then it is not its age that
        the provider dislikes, but for example our clock.
        """
        known = self._known.get(name)
        if known is not None and known.token == token:
            del self._known[name]
        now = utc_now()
        refuse = partial(
            provider_tokens.refuse, now=now, not_since=now - REFUSALS_APART
        )
        if not await self._write(refuse, name, token):
            log.warning("%s: a refused token is not replaced so soon again", name)

    def _good(self, name: str) -> str | None:
        """The token we know of, if the provider still takes it."""
        known = self._known.get(name)
        if known is None or utc_now() >= known.expires_at:
            return None
        return known.token

    def _failure(self, name: str, *, since: float) -> Failure | None:
        failure = self._failures.get(name)
        return failure if failure is not None and failure.at >= since else None

    async def _look_once(
        self, name: str, mint: Callable[[], Awaitable[MintedToken]], began_at: float
    ) -> str:
        """Look, unless somebody has done so in vain while we waited for our turn.

        It would be as vain again, and with a server that hangs each of us would take
        its time, one after another.
        """
        failure = self._failure(name, since=began_at)
        if failure is not None:
            # A copy: each who raises it writes a traceback of its own into it.
            raise copy(failure.problem)
        try:
            return await self._look(name, mint)
        except (ChannelDown, CredentialsRefused) as problem:
            self._failures[name] = Failure(copy(problem), time.monotonic())
            if self._good(name) is not None:
                log.warning("%s: the old token is used on, for now: %s", name, problem)
            raise

    async def _look(self, name: str, mint: Callable[[], Awaitable[MintedToken]]) -> str:
        """Take what is in the datastore, make a new one, or wait for another's."""
        patience = utc_now() + timedelta(seconds=PATIENCE_S)
        while True:
            token, awaited_until = await self._read(name)
            now = utc_now()
            if token is not None and now < token.expires_at:
                self._known[name] = token
                if now < _renew_at(token):
                    return token.token
            is_free = awaited_until is None or awaited_until <= now
            if is_free and await self._take_turn(name, token, now):
                return await self._renew(name, mint)
            if token is not None and now < token.expires_at:
                # Being replaced, but good for some minutes still.
                return token.token
            if now >= patience:
                raise ChannelDown(f"{name}: nobody has made a provider token in time")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _renew(
        self, name: str, mint: Callable[[], Awaitable[MintedToken]]
    ) -> str:
        try:
            async with asyncio.timeout(TURN_S):
                minted = await mint()
        except BaseException as problem:
            # Others may have better luck, and at once.
            await self._write(provider_tokens.give_up_turn, name, self._name)
            if isinstance(problem, TimeoutError):
                raise ChannelDown(f"{name}: making a provider token hangs") from problem
            raise
        now = utc_now()
        token = Token(minted.token, now, now + timedelta(seconds=minted.lifetime_s))
        await self._write(provider_tokens.save, name, self._name, token)
        self._known[name] = token
        return token.token

    async def _read(self, name: str) -> tuple[Token | None, datetime | None]:
        def work() -> tuple[Token | None, datetime | None]:
            with self._store.read() as session:
                return provider_tokens.find(session, name)

        return await self._run(work)

    async def _take_turn(self, name: str, old: Token | None, now: datetime) -> bool:
        take = partial(
            provider_tokens.take_turn,
            instead_of=old.token if old else None,
            now=now,
            until=now + timedelta(seconds=TURN_S),
        )
        return await self._write(take, name, self._name)

    async def _write(self, query: Callable[..., T], *args: Any) -> T:
        def work() -> T:
            with self._store.write() as session:
                return query(session, *args)

        return await self._run(work)

    async def _run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, work)
        except SQLAlchemyError as problem:
            raise ChannelDown("the database of provider tokens is away") from problem


def _renew_at(token: Token) -> datetime:
    """When it should be replaced, while it is still good."""
    lifetime = token.expires_at - token.issued_at
    return token.expires_at - min(timedelta(seconds=EARLY_S), lifetime * EARLY_PART)
