"""A member whose endpoint hangs delays nobody else's pushes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

import config
from config import Settings
from datastore import Datastore
from models.pushes import PushJob
from notifier.channels import Channel, ProviderTokens, Troubles, registry, shares
from notifier.channels.webpush import push_services, strangers
from notifier.engine import loop
from notifier.engine.loop import Engine
from tests.support import chats, databases, tarpits, tls
from tests.support.fake_channel import FakeChannel
from tests.support.tarpits import Tarpit
from tests.support.wait import eventually

CHATS = 300
HONEST = 20
# Much shorter than what a request to a tarpit may take here.
TIMEOUT_S = 20.0
HANGS_S = 60.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path) as store:
        yield store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return config.from_env(
        {
            "BOTTLEPOST_RUN_DIR": str(tmp_path),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
            "BOTTLEPOST_DATABASE_URL": databases.fresh_url("sqlite", tmp_path),
            "BOTTLEPOST_CA_FILE": str(tls.authority().ca_file),
            "BOTTLEPOST_VAPID_SUBJECT": "mailto:ops@example.org",
            "BOTTLEPOST_WEBPUSH_ALLOW": "localhost,127.0.0.1",
        }
    )


@pytest.fixture(autouse=True)
def patient_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_services, "KNOWN_HOSTS", (tarpits.KNOWN_HOST,))
    monkeypatch.setattr(push_services, "REQUEST_TIMEOUT_S", HANGS_S)
    monkeypatch.setattr(push_services, "CONNECT_TIMEOUT_S", HANGS_S)


@asynccontextmanager
async def working(settings: Settings, phones: FakeChannel) -> AsyncIterator[Engine]:
    def channels(tokens: ProviderTokens, troubles: Troubles) -> dict[str, Channel]:
        return {**registry.create(settings, tokens, troubles), "apns": phones}

    own = Datastore(settings.database_url, durable=False)
    engine = Engine(own, channels, owner="in the test", lease_s=30)
    task = asyncio.create_task(engine.run(linger_s=None, wake=asyncio.Event()))
    try:
        yield engine
    finally:
        engine.stop()
        await task


def begun(store: Datastore) -> int:
    """How many jobs have been claimed at least once."""
    with store.read() as session:
        number = select(func.count()).where(PushJob.attempts > 0)
        return session.scalars(number).one()


@pytest.mark.parametrize("tarpit", tarpits.KINDS)
async def test_one_members_tarpit_delays_no_push_of_others(
    store: Datastore,
    settings: Settings,
    tarpit: Callable[[], AbstractAsyncContextManager[Tarpit]],
) -> None:
    phones = FakeChannel()
    async with tarpit() as hanging, tarpits.known_service() as service:
        sender = chats.add_user(store)
        member = chats.add_user(store, hanging.browser.token, "webpush")
        for chat in chats.join_chats(store, [sender, member], CHATS):
            chats.post(store, chat)
        tokens = [service.subscribe().token for _ in range(HONEST)]
        honest = [
            chats.make_chat(store, 2, platforms=["webpush", "apns"], tokens=[token])
            for token in tokens
        ]

        async with working(settings, phones):
            await eventually(lambda: begun(store) >= loop.MAX_JOBS, TIMEOUT_S)
            for chat in honest:
                chats.post(store, chat)

            await eventually(lambda: len(phones.pushed) == HONEST, TIMEOUT_S)
            await eventually(lambda: len(service.inbox) == HONEST, TIMEOUT_S)

            # None of the tarpit's jobs has ended: they wait in the database.
            assert chats.open_jobs(store) >= CHATS


async def test_all_messages_arrive_when_the_tarpit_answers_again(
    store: Datastore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "PATIENCE_S", 0.5)
    monkeypatch.setattr(shares, "REST_LADDER_S", (0.5,))
    async with tarpits.never() as hanging:
        assert hanging.service is not None
        inbox = hanging.service.inbox
        sender = chats.add_user(store)
        member = chats.add_user(store, hanging.browser.token, "webpush")
        for chat in chats.join_chats(store, [sender, member], CHATS):
            chats.post(store, chat)

        async with working(settings, FakeChannel()):
            await eventually(lambda: begun(store) == CHATS, TIMEOUT_S)
            assert inbox == []
            hanging.relent()

            await eventually(lambda: not chats.open_jobs(store), 2 * TIMEOUT_S)

    messages = {push.payload["tag"] for push in inbox}
    assert len(messages) == CHATS
