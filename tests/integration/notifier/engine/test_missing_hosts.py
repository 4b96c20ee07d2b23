"""Since when a host is missing is known to all processes, and after a restart."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

import config
from datastore import Datastore
from models.accounts import Device
from models.base import utc_now
from models.pushes import MissingHost
from notifier.channels.webpush import resolver
from notifier.engine import loop, provider_troubles
from notifier.engine.provider_troubles import SharedTroubles
from sandbox.browsers.browser import Browser
from tests.support import chats, databases
from tests.support.async_stores import on_thread
from tests.support.wait import eventually

HOST = "nowhere.example"


@pytest.fixture(params=databases.KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh(request.param, tmp_path) as store:
        yield store


def missing(store: Datastore, host: str = HOST) -> datetime | None:
    """A look-up of a new process finds no such host."""
    with on_thread(store) as async_store:
        return asyncio.run(SharedTroubles(async_store).host_missing(host))


def found(store: Datastore) -> None:
    with on_thread(store) as async_store:
        asyncio.run(SharedTroubles(async_store).host_found(HOST))


def pass_time(store: Datastore, **ago: float) -> None:
    """All look-ups were that much earlier."""
    with store.write() as session:
        for row in session.scalars(select(MissingHost)):
            row.since -= timedelta(**ago)
            row.seen_at -= timedelta(**ago)


def hosts(store: Datastore) -> list[str]:
    with store.read() as session:
        return list(session.scalars(select(MissingHost.host)))


def test_the_first_look_up_counts(store: Datastore) -> None:
    first = missing(store)
    pass_time(store, hours=2)

    again = missing(store)

    assert first is not None
    assert again == first - timedelta(hours=2)


def test_look_ups_of_a_moment_write_once(store: Datastore) -> None:
    first = missing(store)
    pass_time(store, minutes=5)
    with store.read() as session:
        seen_at = session.scalars(select(MissingHost.seen_at)).one()

    missing(store)

    with store.read() as session:
        assert session.scalars(select(MissingHost.seen_at)).one() == seen_at
    assert first is not None


def test_every_look_up_of_a_day_keeps_the_first_time(store: Datastore) -> None:
    first = missing(store)
    for _ in range(13):
        pass_time(store, hours=2)
        again = missing(store)

    assert first is not None
    assert again == first - timedelta(hours=26)


def test_after_a_day_without_a_look_up_it_begins_anew(store: Datastore) -> None:
    missing(store)
    pass_time(store, hours=25)
    before = utc_now()

    again = missing(store)

    assert again is not None
    assert again >= before


def test_a_host_that_is_found_begins_anew(store: Datastore) -> None:
    missing(store)
    pass_time(store, hours=2)
    before = utc_now()

    found(store)

    again = missing(store)
    assert again is not None
    assert again >= before


def test_forgotten_hosts_take_no_space(store: Datastore) -> None:
    missing(store, "one.example")
    pass_time(store, hours=25)

    missing(store, "two.example")

    assert hosts(store) == ["two.example"]


def test_a_database_that_is_away_is_survived(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(provider_troubles, "_note_missing", fail)
    monkeypatch.setattr(provider_troubles, "_forget_missing", fail)

    assert missing(store) is None
    found(store)


async def test_the_device_is_marked_after_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(resolver, "_resolve", nowhere)
    settings = config.from_env(
        {
            "BOTTLEPOST_RUN_DIR": str(tmp_path),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
            "BOTTLEPOST_DATABASE_URL": databases.fresh_url("sqlite", tmp_path),
            "BOTTLEPOST_VAPID_SUBJECT": "mailto:ops@example.org",
        }
    )
    with databases.fresh("sqlite", tmp_path) as store:
        token = Browser(f"https://{HOST}/push/b").token
        chat = chats.make_chat(store, 1, platforms=["webpush"], tokens=[token])
        now = utc_now()
        since = now - timedelta(hours=30)
        with store.write() as session:
            session.add(MissingHost(host=HOST, since=since, seen_at=now))
        chats.post(store, chat)
        engine = loop.build(settings, owner="in the test")
        task = asyncio.create_task(engine.run(linger_s=None, wake=asyncio.Event()))

        def reasons() -> list[str | None]:
            with store.read() as session:
                return list(session.scalars(select(Device.reason)))

        await eventually(lambda: any(reasons()), 50)
        engine.stop()
        await task

    assert any("has not existed since" in (reason or "") for reason in reasons())
