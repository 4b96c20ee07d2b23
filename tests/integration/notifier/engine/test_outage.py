"""An engine waits for its database, but can exit while it is away."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from datastore import Datastore
from datastore.outbox import job_status
from notifier.engine import loop
from notifier.engine.loop import Engine
from tests.support import chats, databases
from tests.support.fake_channel import FakeChannel


def take_away(store: Datastore) -> None:
    """Let every query about jobs fail from now on, as with a dead server."""
    with store.write() as session:
        session.execute(text("ALTER TABLE push_job RENAME TO taken_away"))


def bring_back(store: Datastore) -> None:
    with store.write() as session:
        session.execute(text("ALTER TABLE taken_away RENAME TO push_job"))


def make_engine(store: Datastore) -> Engine:
    own = Datastore(store.url.render_as_string(hide_password=False))
    return Engine(own, lambda tokens, troubles: {}, owner="a", lease_s=30)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path) as store:
        yield store


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOOK_TIMEOUT_S", 1.0)
    monkeypatch.setattr(loop, "LOOK_RETRY_S", 0.05)


def test_an_idle_engine_exits_without_its_database(sqlite: Datastore) -> None:
    take_away(sqlite)

    async def play() -> None:
        async with asyncio.timeout(55):
            await make_engine(sqlite).run(linger_s=0.3, wake=asyncio.Event())

    asyncio.run(play())


def test_a_stopped_engine_does_not_wait_for_its_database(sqlite: Datastore) -> None:
    take_away(sqlite)

    async def play() -> None:
        worker = make_engine(sqlite)
        running = asyncio.create_task(worker.run(linger_s=None, wake=asyncio.Event()))
        # Long enough to be in the middle of a look.
        await asyncio.sleep(0.1)
        worker.stop()
        async with asyncio.timeout(55):
            await running

    asyncio.run(play())


def test_an_engine_goes_on_when_the_database_is_back(sqlite: Datastore) -> None:
    job = chats.post(sqlite, chats.make_chat(sqlite, 3))
    take_away(sqlite)
    channel = FakeChannel()
    own = Datastore(sqlite.url.render_as_string(hide_password=False))
    worker = Engine(own, lambda *_: {"apns": channel}, owner="a", lease_s=30)

    async def play() -> None:
        running = asyncio.create_task(worker.run(linger_s=None, wake=asyncio.Event()))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(bring_back, sqlite)
        async with asyncio.timeout(55):
            await channel.reached.wait()
            worker.stop()
            await running

    asyncio.run(play())

    with sqlite.read() as session:
        found = job_status.find(session, job)
    assert found is not None
    assert found.accepted == 3
