"""Provider tokens whose renewal fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from datastore import Datastore
from models.base import utc_now
from models.pushes import ProviderToken
from notifier.channels import CredentialsRefused, MintedToken
from notifier.engine import provider_tokens
from notifier.engine.provider_tokens import SharedTokens
from notifier.outcome import ChannelDown
from tests.support import databases
from tests.support.async_stores import on_thread

T = TypeVar("T")

WAITERS = 20
PROBLEMS = [ChannelDown("away", retry_after_s=7), CredentialsRefused("no")]


@pytest.fixture(params=databases.KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh(request.param, tmp_path) as store:
        yield store


class Mint:
    """Mints "new" or raises the given problem, and counts its calls."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.asked = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self) -> MintedToken:
        self.asked += 1
        self.begun.set()
        await self.go_on.wait()
        if self.problem is not None:
            raise self.problem
        return MintedToken("new", 3000.0)


def save_old(store: Datastore, *, minutes_left: float = 4) -> None:
    """Save a token of 50 minutes that is due for renewal."""
    expires_at = utc_now() + timedelta(minutes=minutes_left)
    issued_at = expires_at - timedelta(minutes=50)
    with store.write() as session:
        session.add(
            ProviderToken(
                name="name", token="old", issued_at=issued_at, expires_at=expires_at
            )
        )


def use(store: Datastore, scene: Callable[[SharedTokens], Awaitable[T]]) -> T:
    async def play() -> T:
        return await scene(SharedTokens(async_store))

    with on_thread(store) as async_store:
        return asyncio.run(play())


@pytest.mark.parametrize("problem", PROBLEMS)
def test_an_old_token_that_is_still_valid_is_used_when_renewing_fails(
    store: Datastore, problem: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    save_old(store)

    with caplog.at_level(logging.WARNING):
        token = use(store, lambda tokens: tokens.get("name", Mint(problem)))

    assert token == "old"
    (record,) = caplog.records
    assert str(problem) in record.getMessage()


@pytest.mark.parametrize("problem", PROBLEMS)
def test_an_old_token_that_has_expired_is_not_used(
    store: Datastore, problem: Exception
) -> None:
    save_old(store, minutes_left=-1)

    with pytest.raises(type(problem), match=str(problem)):
        use(store, lambda tokens: tokens.get("name", Mint(problem)))


def test_a_failed_renewal_is_not_repeated_at_once(store: Datastore) -> None:
    save_old(store)
    mint = Mint(ChannelDown("away"))

    async def get_often(tokens: SharedTokens) -> list[str]:
        return [await tokens.get("name", mint) for _ in range(5)]

    assert use(store, get_often) == ["old"] * 5
    assert mint.asked == 1


def test_a_failed_renewal_is_repeated_after_a_while(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_old(store)

    async def get_twice(tokens: SharedTokens) -> list[str]:
        first = await tokens.get("name", Mint(ChannelDown("away")))
        monkeypatch.setattr(provider_tokens, "RENEWAL_RETRY_S", 0.0)
        return [first, await tokens.get("name", Mint())]

    assert use(store, get_twice) == ["old", "new"]


def test_while_one_task_renews_the_others_use_the_old_token(store: Datastore) -> None:
    save_old(store)

    async def get_meanwhile(tokens: SharedTokens) -> tuple[str, str]:
        mint = Mint()
        mint.go_on.clear()
        renewing = asyncio.create_task(tokens.get("name", mint))
        await mint.begun.wait()
        async with asyncio.timeout(30):
            meanwhile = await tokens.get("name", mint)
        mint.go_on.set()
        return meanwhile, await renewing

    assert use(store, get_meanwhile) == ("old", "new")


def test_tasks_that_wait_for_a_failing_renewal_use_the_old_token(
    store: Datastore,
) -> None:
    save_old(store)
    mint = Mint(ChannelDown("away"))

    async def get_together(tokens: SharedTokens) -> list[str]:
        waiting = (tokens.get("name", mint) for _ in range(WAITERS))
        return await asyncio.gather(*waiting)

    assert use(store, get_together) == ["old"] * WAITERS
    assert mint.asked == 1


def test_tasks_that_wait_for_a_hanging_mint_do_not_wait_again(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_tokens, "MINT_TIMEOUT_S", 0.2)
    mint = Mint()

    async def get_together(tokens: SharedTokens) -> list[str | BaseException]:
        mint.go_on.clear()
        waiting = (tokens.get("name", mint) for _ in range(WAITERS))
        return await asyncio.gather(*waiting, return_exceptions=True)

    ends = use(store, get_together)

    assert {type(end) for end in ends} == {ChannelDown}
    assert mint.asked == 1


@pytest.mark.parametrize("problem", PROBLEMS)
def test_all_waiting_tasks_get_the_same_error(
    store: Datastore, problem: Exception
) -> None:
    mint = Mint(problem)

    async def get_together(tokens: SharedTokens) -> list[str | BaseException]:
        waiting = (tokens.get("name", mint) for _ in range(WAITERS))
        return await asyncio.gather(*waiting, return_exceptions=True)

    ends = use(store, get_together)

    assert {(type(end), str(end)) for end in ends} == {(type(problem), str(problem))}
    assert {getattr(end, "retry_after_s", 0) for end in ends} == {
        getattr(problem, "retry_after_s", 0)
    }
    assert mint.asked == 1


def test_a_task_after_a_failed_mint_tries_again(store: Datastore) -> None:
    async def get_twice(tokens: SharedTokens) -> str:
        with pytest.raises(ChannelDown):
            await tokens.get("name", Mint(ChannelDown("away")))
        return await tokens.get("name", Mint())

    assert use(store, get_twice) == "new"


def test_a_task_cancelled_while_minting_lets_the_next_one_mint(
    store: Datastore,
) -> None:
    async def cancel_one(tokens: SharedTokens) -> str:
        slow = Mint()
        slow.go_on.clear()
        first = asyncio.create_task(tokens.get("name", slow))
        await slow.begun.wait()
        second = asyncio.create_task(tokens.get("name", Mint()))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert use(store, cancel_one) == "new"


def test_a_refused_token_is_not_used_again(store: Datastore) -> None:
    save_old(store)

    async def refuse(tokens: SharedTokens) -> str:
        await tokens.get("name", Mint(ChannelDown("away")))
        await tokens.refused("name", "old")
        with pytest.raises(ChannelDown):
            await tokens.get("name", Mint(ChannelDown("away")))
        return await tokens.get("name", Mint())

    assert use(store, refuse) == "new"
