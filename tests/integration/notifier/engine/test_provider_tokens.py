"""All processes share one provider token."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from datastore import Datastore, provider_tokens
from datastore.provider_tokens import Token
from models.base import utc_now
from models.pushes import ProviderToken
from notifier.channels import CredentialsRefused, MintedToken
from notifier.engine import provider_tokens as tokens_module
from notifier.engine.provider_tokens import SharedTokens
from notifier.outcome import ChannelDown
from tests.support import child_processes, databases
from tests.support.async_stores import on_thread

Mint = Callable[[], Awaitable[MintedToken]]
PROCESSES = 3


@pytest.fixture(params=databases.KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh(request.param, tmp_path) as store:
        yield store


def test_many_processes_make_one_token_for_each_lifetime(
    store: Datastore, tmp_path: Path
) -> None:
    minted = tmp_path / "minted"

    url = store.url.render_as_string(hide_password=False)
    arguments = ["tests.support.token_user", url, str(minted)]

    with child_processes.running(PROCESSES, arguments) as users:
        first = child_processes.ask_all(users, "get")
        again = child_processes.ask_all(users, "get")
        child_processes.ask_all(users, "refused token-1")
        second = child_processes.ask_all(users, "get")
        # Refused again within minutes: another token would not help.
        child_processes.ask_all(users, "refused token-2")
        third = child_processes.ask_all(users, "get")

    assert (first, again) == ({"token-1"}, {"token-1"})
    assert (second, third) == ({"token-2"}, {"token-2"})
    assert len(minted.read_text().splitlines()) == 2


async def mint_new() -> MintedToken:
    return MintedToken("new", 3000.0)


async def mint_nothing() -> MintedToken:
    raise AssertionError("it was not our turn to mint")


def save(
    store: Datastore,
    *,
    minutes_left: float,
    turn_of: str | None = None,
    turn_s: float = 0.4,
) -> None:
    """Save a token of 50 minutes, maybe with a process that is renewing it."""
    now = utc_now()
    expires_at = now + timedelta(minutes=minutes_left)
    with store.write() as session:
        session.add(
            ProviderToken(
                name="name",
                token="old",
                issued_at=expires_at - timedelta(minutes=50),
                expires_at=expires_at,
                refresher=turn_of,
                refresh_until=now + timedelta(seconds=turn_s) if turn_of else None,
            )
        )


def rename(store: Datastore, old: str, new: str) -> None:
    """Without its table every query fails; SQLite calls that an outage."""
    with store.write() as session:
        session.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def get(store: Datastore, mint: Mint) -> str:
    async def ask() -> str:
        return await SharedTokens(async_store).get("name", mint)

    with on_thread(store) as async_store:
        return asyncio.run(ask())


def saved(store: Datastore) -> Token | None:
    with store.read() as session:
        return provider_tokens.find(session, "name").token


def test_a_token_is_kept_until_it_is_due_for_renewal(store: Datastore) -> None:
    save(store, minutes_left=6)

    assert get(store, mint_nothing) == "old"


@pytest.mark.parametrize("minutes_left", [4, 0, -10_000])
def test_a_token_is_replaced_before_it_expires(
    store: Datastore, minutes_left: float
) -> None:
    save(store, minutes_left=minutes_left)

    assert get(store, mint_new) == "new"
    token = saved(store)
    assert token is not None
    assert token.token == "new"
    assert token.expires_at - token.issued_at == timedelta(seconds=3000)


def test_the_old_token_is_used_while_another_process_renews_it(
    store: Datastore,
) -> None:
    save(store, minutes_left=4, turn_of="another", turn_s=60)

    assert get(store, mint_nothing) == "old"


def test_a_killed_process_of_this_host_is_not_waited_for(store: Datastore) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(60)
    refresher = f"{socket.gethostname()[:60]}-{ended.pid}-0123abcd"
    save(store, minutes_left=-1, turn_of=refresher, turn_s=60)

    assert get(store, mint_new) == "new"


@pytest.mark.parametrize(
    "refresher",
    [
        # This process, and one of another host.
        f"{socket.gethostname()[:60]}-{os.getpid()}-0123abcd",
        f"another-host-{2**22}-0123abcd",
        "no name of ours",
    ],
    ids=["alive", "another host", "odd name"],
)
def test_others_that_refresh_a_token_are_waited_for(
    store: Datastore, monkeypatch: pytest.MonkeyPatch, refresher: str
) -> None:
    monkeypatch.setattr(tokens_module, "WAIT_TIMEOUT_S", 0.3)
    save(store, minutes_left=-1, turn_of=refresher, turn_s=14)

    with pytest.raises(ChannelDown):
        get(store, mint_nothing)


def test_a_process_that_dies_while_minting_is_not_waited_for_long(
    store: Datastore,
) -> None:
    save(store, minutes_left=-1, turn_of="dead")

    assert get(store, mint_new) == "new"


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=400)])
def test_a_token_made_while_the_clock_was_ahead_is_replaced(
    store: Datastore, ahead: timedelta
) -> None:
    save(store, minutes_left=40 + ahead / timedelta(minutes=1))

    assert get(store, mint_new) == "new"


def test_clocks_may_differ_by_seconds(store: Datastore) -> None:
    save(store, minutes_left=50.5)

    assert get(store, mint_nothing) == "old"


def test_a_renewal_begun_while_the_clock_was_ahead_is_not_waited_for(
    store: Datastore,
) -> None:
    save(store, minutes_left=-1, turn_of="another", turn_s=3600)

    assert get(store, mint_new) == "new"


def test_a_refusal_noted_while_the_clock_was_ahead_does_not_count(
    store: Datastore,
) -> None:
    save(store, minutes_left=40)
    now = utc_now()
    with store.write() as session:
        row = session.get(ProviderToken, "name")
        row.refused_at = now + timedelta(hours=1)

    with store.write() as session:
        assert provider_tokens.refuse(
            session, "name", "old", now=now, not_since=now - timedelta(minutes=20)
        )


def test_a_token_minted_too_late_is_dropped(store: Datastore) -> None:
    save(store, minutes_left=-1, turn_of="late")
    get(store, mint_new)
    now = utc_now()

    with store.write() as session:
        late = Token("late", now, now + timedelta(minutes=50))
        provider_tokens.save(session, "name", "late", late)

    token = saved(store)
    assert token is not None
    assert token.token == "new"


@pytest.mark.parametrize("problem", [ChannelDown("away"), CredentialsRefused("no")])
def test_an_error_of_the_mint_is_raised_and_others_may_mint(
    store: Datastore, problem: Exception
) -> None:
    async def mint() -> MintedToken:
        raise problem

    with pytest.raises(type(problem)):
        get(store, mint)

    assert get(store, mint_new) == "new"


def test_tasks_of_one_process_mint_one_token(store: Datastore) -> None:
    mints = []

    async def mint() -> MintedToken:
        mints.append(1)
        await asyncio.sleep(0.05)
        return MintedToken("new", 3000.0)

    async def ask() -> list[str]:
        tokens = SharedTokens(async_store)
        return await asyncio.gather(*(tokens.get("name", mint) for _ in range(20)))

    with on_thread(store) as async_store:
        assert asyncio.run(ask()) == ["new"] * 20
    assert len(mints) == 1


def test_tokens_of_different_names_are_independent(
    store: Datastore,
) -> None:
    async def ask() -> tuple[str, str]:
        tokens = SharedTokens(async_store)

        async def other() -> MintedToken:
            return MintedToken("other", 3000.0)

        return await tokens.get("a", mint_new), await tokens.get("b", other)

    with on_thread(store) as async_store:
        assert asyncio.run(ask()) == ("new", "other")


def test_only_the_token_that_was_refused_is_forgotten(store: Datastore) -> None:
    save(store, minutes_left=40)

    async def refuse() -> str:
        tokens = SharedTokens(async_store)
        await tokens.refused("name", "one before")
        return await tokens.get("name", mint_nothing)

    with on_thread(store) as async_store:
        assert asyncio.run(refuse()) == "old"


def test_without_its_table_tokens_are_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "WAIT_TIMEOUT_S", 0.3)
    store = Datastore(f"sqlite:///{tmp_path}/empty.db")

    with pytest.raises(ChannelDown, match="database"):
        get(store, mint_new)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_push_without_a_token_waits_for_a_short_outage(store: Datastore) -> None:
    save(store, minutes_left=40)
    rename(store, "provider_token", "taken_away")

    async def ask() -> str:
        getting = asyncio.create_task(tokens.get("name", mint_nothing))
        await asyncio.sleep(0.3)
        assert not getting.done()
        await asyncio.to_thread(rename, store, "taken_away", "provider_token")
        return await getting

    with on_thread(store) as async_store:
        tokens = SharedTokens(async_store)
        assert asyncio.run(ask()) == "old"


def test_a_database_that_hangs_does_not_hang_a_push(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "WAIT_TIMEOUT_S", 0.3)
    released = threading.Event()

    async def ask() -> None:
        hanging = asyncio.create_task(async_store.call(lambda _: released.wait(30)))
        await asyncio.sleep(0)
        with pytest.raises(ChannelDown, match="database"):
            await SharedTokens(async_store).get("name", mint_new)
        assert not hanging.done()
        released.set()
        await hanging

    with on_thread(store) as async_store:
        asyncio.run(ask())


def test_a_valid_token_is_used_while_the_database_is_away(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is due for renewal, and the wait for the database is much shorter."""
    monkeypatch.setattr(tokens_module, "RENEWAL_QUERY_TIMEOUT_S", 0.2)
    save(store, minutes_left=4, turn_of="another", turn_s=60)

    async def ask() -> tuple[str, str]:
        tokens = SharedTokens(async_store)
        before = await tokens.get("name", mint_nothing)
        await asyncio.to_thread(rename, store, "provider_token", "taken_away")
        async with asyncio.timeout(10):
            return before, await tokens.get("name", mint_nothing)

    with on_thread(store) as async_store:
        assert asyncio.run(ask()) == ("old", "old")
