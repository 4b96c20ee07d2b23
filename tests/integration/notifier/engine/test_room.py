"""What only waits takes no room from others, and no sender takes all of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from datastore import Datastore
from notifier.channels import Channel
from notifier.engine import loop
from notifier.engine.loop import Engine
from tests.support import chats
from tests.support.fake_channel import FakeChannel
from tests.support.wait import eventually

# More than an engine works on at a time.
MANY = loop.MAX_JOBS + 50


@asynccontextmanager
async def working(
    store: Datastore, channels: Mapping[str, Channel]
) -> AsyncIterator[Engine]:
    own = Datastore(store.url.render_as_string(hide_password=False))
    engine = Engine(own, lambda *_: channels, owner="a", lease_s=30)
    task = asyncio.create_task(engine.run(linger_s=None, wake=asyncio.Event()))
    try:
        yield engine
    finally:
        engine.stop()
        await task


def post_heap(store: Datastore, number: int, platform: str) -> None:
    """A message of one sender in each of many chats with the same member."""
    sender = chats.add_user(store)
    member = chats.add_user(store, f"{platform}-of-a-member", platform)
    for chat in chats.join_chats(store, [sender, member], number):
        chats.post(store, chat, text="one of many")


async def test_a_provider_that_hangs_delays_no_push_to_another(
    store: Datastore,
) -> None:
    """By any number of senders; its own timeouts and breaker come much later."""
    phones, hanging = FakeChannel(), FakeChannel()
    hanging.gate.clear()
    for _ in range(MANY):
        chats.post(store, chats.make_chat(store, 1, platforms=["fcm"]))
    channels = {"apns": phones, "fcm": hanging}

    async with working(store, channels) as engine:
        await eventually(lambda: engine._running.started >= loop.MAX_JOBS)
        for _ in range(20):
            chats.post(store, chats.make_chat(store, 1))
        await eventually(lambda: len(phones.pushed) == 20)

        assert hanging.pushed == []
        hanging.gate.set()
        await eventually(lambda: not chats.open_jobs(store))

    assert len(hanging.pushed) == MANY


async def test_one_senders_heap_delays_no_message_of_others(store: Datastore) -> None:
    phones, hanging = FakeChannel(), FakeChannel()
    hanging.gate.clear()
    post_heap(store, MANY, "fcm")

    async with working(store, {"apns": phones, "fcm": hanging}) as engine:
        # It does not even fill the engine before its jobs are seen to wait only.
        await eventually(lambda: engine._running.started >= loop.MAX_JOBS // 2)
        assert engine.has_room
        chats.post(store, chats.make_chat(store, 1))
        await eventually(lambda: phones.pushed)

        hanging.gate.set()
        await eventually(lambda: not chats.open_jobs(store))

    assert len(hanging.pushed) == MANY
