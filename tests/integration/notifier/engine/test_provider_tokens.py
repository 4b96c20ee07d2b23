"""One provider token for all processes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from datastore import Datastore, provider_tokens
from datastore.provider_tokens import Token
from models.base import utc_now
from models.pushes import ProviderToken
from notifier.channels import CredentialsRefused, MintedToken
from notifier.engine.provider_tokens import SharedTokens
from notifier.outcome import ChannelDown
from tests.support import child_processes, databases

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
    """A token of 50 minutes in the table, maybe with somebody about to replace it."""
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


def get(store: Datastore, mint: Mint) -> str:
    async def ask() -> str:
        return await SharedTokens(store, executor).get("name", mint)

    with ThreadPoolExecutor(1) as executor:
        return asyncio.run(ask())


def saved(store: Datastore) -> Token | None:
    with store.read() as session:
        return provider_tokens.find(session, "name")[0]


def test_a_token_is_kept_while_it_is_young(store: Datastore) -> None:
    save(store, minutes_left=6)

    assert get(store, mint_nothing) == "old"


@pytest.mark.parametrize("minutes_left", [4, 0, -10_000])
def test_a_token_is_replaced_before_its_end(
    store: Datastore, minutes_left: float
) -> None:
    save(store, minutes_left=minutes_left)

    assert get(store, mint_new) == "new"
    token = saved(store)
    assert token is not None
    assert token.token == "new"
    assert token.expires_at - token.issued_at == timedelta(seconds=3000)


def test_while_another_makes_the_next_one_the_old_one_is_used(
    store: Datastore,
) -> None:
    save(store, minutes_left=4, turn_of="another", turn_s=60)

    assert get(store, mint_nothing) == "old"


def test_who_dies_while_making_a_token_loses_the_turn(store: Datastore) -> None:
    save(store, minutes_left=-1, turn_of="dead")

    assert get(store, mint_new) == "new"


def test_a_late_token_of_one_who_lost_the_turn_is_dropped(store: Datastore) -> None:
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
def test_a_failed_mint_is_raised_and_the_turn_given_up(
    store: Datastore, problem: Exception
) -> None:
    async def mint() -> MintedToken:
        raise problem

    with pytest.raises(type(problem)):
        get(store, mint)

    assert get(store, mint_new) == "new"


def test_tasks_of_one_process_make_one_token(store: Datastore) -> None:
    mints = []

    async def mint() -> MintedToken:
        mints.append(1)
        await asyncio.sleep(0.05)
        return MintedToken("new", 3000.0)

    async def ask() -> list[str]:
        tokens = SharedTokens(store, executor)
        return await asyncio.gather(*(tokens.get("name", mint) for _ in range(20)))

    with ThreadPoolExecutor(1) as executor:
        assert asyncio.run(ask()) == ["new"] * 20
    assert len(mints) == 1


def test_tokens_of_different_names_have_nothing_to_do_with_each_other(
    store: Datastore,
) -> None:
    async def ask() -> tuple[str, str]:
        tokens = SharedTokens(store, executor)

        async def other() -> MintedToken:
            return MintedToken("other", 3000.0)

        return await tokens.get("a", mint_new), await tokens.get("b", other)

    with ThreadPoolExecutor(1) as executor:
        assert asyncio.run(ask()) == ("new", "other")


def test_only_the_token_that_was_refused_is_forgotten(store: Datastore) -> None:
    save(store, minutes_left=40)

    async def refuse() -> str:
        tokens = SharedTokens(store, executor)
        await tokens.refused("name", "one before")
        return await tokens.get("name", mint_nothing)

    with ThreadPoolExecutor(1) as executor:
        assert asyncio.run(refuse()) == "old"


def test_without_its_table_tokens_are_an_outage(tmp_path: Path) -> None:
    store = Datastore(f"sqlite:///{tmp_path}/empty.db")

    with pytest.raises(ChannelDown, match="database"):
        get(store, mint_new)
