"""Provider tokens that all processes and hosts share, minted by one at a time."""

import asyncio
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from copy import copy
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from datastore import provider_tokens
from datastore.provider_tokens import Token
from models.base import utc_now
from notifier.channels import CredentialsRefused, MintedToken
from notifier.engine.async_store import AsyncStore
from notifier.outcome import ChannelDown

log = logging.getLogger(__name__)

T = TypeVar("T")

# A token is renewed this long before it expires, a short-lived one in its last sixth.
RENEW_EARLY_S = 300.0
RENEW_EARLY_SHARE = 1 / 6
# A process has this long to mint a token; then another one may.
MINT_TIMEOUT_S = 15.0
# How often the other processes look for the new token, and for how long.
POLL_S = 0.05
WAIT_TIMEOUT_S = 20.0
# A renewal does not keep a valid token waiting longer than this for the database.
RENEWAL_QUERY_TIMEOUT_S = 1.0
# A failed renewal is not repeated sooner than this while the old token is valid.
RENEWAL_RETRY_S = 15.0
# Apple wants at most one new token in 20 minutes, whatever it says about the last one.
REFUSAL_INTERVAL = timedelta(minutes=20)


_is_name = re.compile(r"(?P<host>.+)-(?P<pid>[1-9][0-9]*)-[0-9a-f]{8}").fullmatch


class Failure(NamedTuple):
    """Why a token could not be obtained, and when that was known."""

    problem: ChannelDown | CredentialsRefused
    at: float


class SharedTokens:
    """Gives the channels of one engine the tokens that all engines share.

    Used on one event loop. The limits of a wait for the database:

    - A push without a valid token waits up to `WAIT_TIMEOUT_S`, because failing at once
      would postpone a whole batch for each short outage. Then it gets ChannelDown.
    - A push whose token is valid but due for renewal waits up to
      `RENEWAL_QUERY_TIMEOUT_S` for each query, and then uses the old token.
    """

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        # Our name in the table, which no other process ever has.
        self._name = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._known: dict[str, Token] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        # The last failure for each token name.
        self._failures: dict[str, Failure] = {}

    async def get(self, name: str, mint: Callable[[], Awaitable[MintedToken]]) -> str:
        """The shared token of that name; `mint` is awaited only if we are to renew it.

        Raises what `mint` raises (ChannelDown, or CredentialsRefused), and ChannelDown
        when the database is away or another process does not mint in time. None of
        them is raised while the old token is valid.
        """
        known = self._known.get(name)
        if known is not None and _is_fresh(known, utc_now()):
            return known.token
        began_at = time.monotonic()
        lock = self._locks.setdefault(name, asyncio.Lock())
        valid = self._valid(name)
        has_failed = self._failure(name, since=began_at - RENEWAL_RETRY_S) is not None
        if valid is not None and (has_failed or lock.locked()):
            return valid
        try:
            async with lock:
                return await self._obtain_once(name, mint, began_at)
        except (ChannelDown, CredentialsRefused):
            # Looked up again, because it may have expired or been refused meanwhile.
            valid = self._valid(name)
            if valid is None:
                raise
            return valid

    async def refused(self, name: str, token: str) -> None:
        """The provider called this very token expired: the next `get` mints anew.

        A second refusal within 20 minutes changes nothing, because the cause is not
        the token's age then, but for example our clock. Raises ChannelDown when the
        database is away.
        """
        known = self._known.get(name)
        if known is not None and known.token == token:
            del self._known[name]
        now = utc_now()
        refuse = self._store.write(
            provider_tokens.refuse,
            name,
            token,
            now=now,
            not_since=now - REFUSAL_INTERVAL,
        )
        if not await _answer(refuse, WAIT_TIMEOUT_S):
            log.warning("%s: a refused token is not replaced so soon again", name)

    def _valid(self, name: str) -> str | None:
        """The token we know, unless it has expired."""
        known = self._known.get(name)
        if known is None or not known.is_valid(utc_now()):
            return None
        return known.token

    def _failure(self, name: str, *, since: float) -> Failure | None:
        failure = self._failures.get(name)
        return failure if failure is not None and failure.at >= since else None

    async def _obtain_once(
        self, name: str, mint: Callable[[], Awaitable[MintedToken]], began_at: float
    ) -> str:
        """Obtain the token, unless another task failed to while we waited for the lock.

        Another try would fail, too, and if the server hangs, each waiting task would
        spend the whole timeout, one after another.
        """
        failure = self._failure(name, since=began_at)
        if failure is not None:
            # A copy, because each `raise` writes its own traceback into the exception.
            raise copy(failure.problem)
        try:
            return await self._obtain(name, mint)
        except (ChannelDown, CredentialsRefused) as problem:
            self._failures[name] = Failure(copy(problem), time.monotonic())
            if self._valid(name) is not None:
                log.warning("%s: the old token is used on, for now: %s", name, problem)
            raise

    async def _obtain(
        self, name: str, mint: Callable[[], Awaitable[MintedToken]]
    ) -> str:
        """Read the token, mint it, or wait until another process has minted it."""
        deadline = time.monotonic() + WAIT_TIMEOUT_S
        while True:
            find = self._store.read(provider_tokens.find, name)
            timeout_s = self._query_timeout_s(name, deadline)
            found = await _answer(find, timeout_s)
            now, token = utc_now(), found.token
            if token is not None and token.is_valid(now):
                self._known[name] = token
                if _is_fresh(token, now):
                    return token.token
            is_free = not found.is_refreshed(now, timedelta(seconds=MINT_TIMEOUT_S))
            if not is_free and found.refresher and _was_killed(found.refresher):
                # All pushes of the provider would wait for its time to run out.
                await self._give_up_renewal(name, found.refresher)
                continue
            if is_free and await self._claim_renewal(name, token, now, deadline):
                return await self._renew(name, mint)
            if token is not None and token.is_valid(now):
                # Another process renews it; it is valid for some minutes still.
                return token.token
            if time.monotonic() >= deadline:
                raise ChannelDown(f"{name}: nobody has made a provider token in time")
            await asyncio.sleep(POLL_S)

    def _query_timeout_s(self, name: str, deadline: float) -> float:
        left_s = deadline - time.monotonic()
        if self._valid(name) is None:
            return left_s
        return min(left_s, RENEWAL_QUERY_TIMEOUT_S)

    async def _claim_renewal(
        self, name: str, old: Token | None, now: datetime, deadline: float
    ) -> bool:
        """Whether we are the process that renews the token now."""
        claim = self._store.write(
            provider_tokens.take_turn,
            name,
            self._name,
            instead_of=old.token if old else None,
            now=now,
            until=now + timedelta(seconds=MINT_TIMEOUT_S),
        )
        return await _answer(claim, self._query_timeout_s(name, deadline))

    async def _renew(
        self, name: str, mint: Callable[[], Awaitable[MintedToken]]
    ) -> str:
        try:
            async with asyncio.timeout(MINT_TIMEOUT_S):
                minted = await mint()
        except BaseException as problem:
            await self._give_up_renewal(name, self._name)
            if isinstance(problem, TimeoutError):
                raise ChannelDown(f"{name}: making a provider token hangs") from problem
            raise
        now = utc_now()
        token = Token(minted.token, now, now + timedelta(seconds=minted.lifetime_s))
        # Waits even if the old token is valid, because providers limit the minting.
        save = self._store.write(provider_tokens.save, name, self._name, token)
        await _answer(save, WAIT_TIMEOUT_S)
        self._known[name] = token
        return token.token

    async def _give_up_renewal(self, name: str, refresher: str) -> None:
        """Let another process try at once; without a database the claim runs out."""
        give_up = self._store.write(provider_tokens.give_up_turn, name, refresher)
        try:
            await _answer(give_up, RENEWAL_QUERY_TIMEOUT_S)
        except ChannelDown:
            log.warning("%s: others wait until the claim runs out", name)


async def _answer(query: Awaitable[T], timeout_s: float) -> T:
    """Return what the query returns; raise ChannelDown while the database is away."""
    try:
        async with asyncio.timeout(timeout_s):
            return await query
    except (TimeoutError, SQLAlchemyError) as problem:
        raise ChannelDown("the database of provider tokens is away") from problem


def _host() -> str:
    return socket.gethostname()[:60]


def _was_killed(refresher: str) -> bool:
    """Whether it is a process of this host that is no more."""
    found = _is_name(refresher)
    if found is None or found["host"] != _host():
        return False
    try:
        os.kill(int(found["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _is_fresh(token: Token, now: datetime) -> bool:
    """Whether it is not due for renewal yet, which is some time before it expires."""
    lifetime = token.expires_at - token.issued_at
    early = min(timedelta(seconds=RENEW_EARLY_S), lifetime * RENEW_EARLY_SHARE)
    return token.is_valid(now) and now < token.expires_at - early
