"""A job below the floor of an engine's looks is pushed all the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import update

from datastore import Datastore
from models.pushes import AT_ONCE, PushJob
from notifier.engine import ANY_JOB
from notifier.engine.loop import Engine
from tests.support import chats
from tests.support.fake_channel import FakeChannel
from tests.support.wait import eventually


def set_due(store: Datastore, job_id: int, *, is_due: bool) -> None:
    """As if the job's transaction were committed only now."""
    with store.write() as session:
        job = update(PushJob).where(PushJob.id == job_id)
        session.execute(job.values(due_at=AT_ONCE if is_due else None))


@asynccontextmanager
async def above(
    store: Datastore, job_id: int, channel: FakeChannel
) -> AsyncIterator[tuple[Engine, asyncio.Event]]:
    """An engine that has pushed the job after this one."""
    set_due(store, job_id, is_due=False)
    chats.post(store, chats.make_chat(store, 1), text="the later one")
    engine = Engine(store, lambda *_: {"apns": channel}, owner="a", lease_s=30)
    wake = asyncio.Event()
    running = asyncio.create_task(engine.run(linger_s=None, wake=wake))
    await eventually(lambda: channel.texts() == ["the later one"])
    set_due(store, job_id, is_due=True)
    yield engine, wake
    await eventually(lambda: "the earlier one" in channel.texts())
    engine.stop()
    await running


@pytest.mark.parametrize("named", [True, False])
async def test_a_wake_up_finds_it(store: Datastore, named: bool) -> None:
    job_id = chats.post(store, chats.make_chat(store, 1), text="the earlier one")
    async with above(store, job_id, FakeChannel()) as (engine, wake):
        engine.expect(job_id if named else ANY_JOB)
        wake.set()


async def test_without_a_wake_up_of_its_own_the_next_full_look_finds_it(
    store: Datastore,
) -> None:
    job_id = chats.post(store, chats.make_chat(store, 1), text="the earlier one")
    async with above(store, job_id, FakeChannel()) as (engine, wake):
        engine.expect(job_id + 1)
        wake.set()
