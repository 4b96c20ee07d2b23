"""A quiet engine claims the job that its wake-up names, without a look."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import update

from datastore import Datastore
from datastore.outbox import due_work
from models.pushes import PushJob
from notifier.engine.loop import Engine
from tests.support import chats
from tests.support.fake_channel import FakeChannel
from tests.support.outbox import claim, end
from tests.support.wait import eventually


@dataclass
class Quiet:
    """An engine that waits for a wake-up, and what its looks have found."""

    engine: Engine
    wake: asyncio.Event
    channel: FakeChannel
    looks: list[due_work.Taken]

    def wake_for(self, *job_ids: int) -> None:
        for job_id in job_ids:
            self.engine.expect(job_id)
        self.wake.set()

    async def ignores(self, job_id: int) -> None:
        """Wake it for a job that is not to be claimed: a look follows."""
        self.looks.clear()
        self.wake_for(job_id)
        await eventually(lambda: bool(self.looks))

    async def pushes(self, *texts: str) -> None:
        await eventually(lambda: sorted(self.channel.texts()) == sorted(texts))


@asynccontextmanager
async def quiet(store: Datastore, channel: FakeChannel) -> AsyncIterator[Quiet]:
    own = Datastore(store.url.render_as_string(hide_password=False))
    looks: list[due_work.Taken] = []
    take = due_work.take

    def watched(*args: Any, **kwargs: Any) -> due_work.Taken:
        looks.append(take(*args, **kwargs))
        return looks[-1]

    engine = Engine(own, lambda *_: {"apns": channel}, owner="a", lease_s=30)
    wake = asyncio.Event()
    with patch.object(due_work, "take", watched):
        running = asyncio.create_task(engine.run(linger_s=None, wake=wake))
        await eventually(lambda: bool(looks))
        yield Quiet(engine, wake, channel, looks)
        await eventually(lambda: chats.open_jobs(store) == 0)
        engine.stop()
        await running


async def test_it_is_claimed_without_a_look(store: Datastore) -> None:
    chat = chats.make_chat(store, 3)
    async with quiet(store, FakeChannel()) as one:
        one.wake_for(chats.post(store, chat, text="a"))
        await one.pushes("a", "a", "a")

    assert [look.jobs for look in one.looks if look.jobs] == []


async def test_what_is_due_besides_is_found_by_the_look_that_follows(
    store: Datastore,
) -> None:
    chat_ids = [chats.make_chat(store, 1) for _ in range(2)]
    async with quiet(store, FakeChannel()) as one:
        chats.post(store, chat_ids[0], text="a")

        one.wake_for(chats.post(store, chat_ids[1], text="b"))

        await one.pushes("a", "b")


async def test_several_names_are_left_to_a_look(store: Datastore) -> None:
    chat_ids = [chats.make_chat(store, 1) for _ in range(3)]
    async with quiet(store, FakeChannel()) as one:
        jobs = [chats.post(store, chat, text="a") for chat in chat_ids]

        one.wake_for(*jobs)

        await one.pushes("a", "a", "a")


@pytest.mark.parametrize("job_id", [-5, 0, 12345, 2**63, 10**30])
async def test_a_name_without_a_job_is_ignored(store: Datastore, job_id: int) -> None:
    async with quiet(store, FakeChannel()) as one:
        chats.post(store, chats.make_chat(store, 1), text="a")

        one.wake_for(job_id)

        await one.pushes("a")


async def test_a_job_of_another_engine_stays_there(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 1), text="a")
    [held] = claim(store, "another")
    async with quiet(store, FakeChannel()) as one:
        await one.ignores(job)
        one.wake_for(chats.post(store, chats.make_chat(store, 1), text="b"))
        await one.pushes("b")

        assert end(store, "another", held.job_id).lost == set()


async def test_a_job_that_waits_for_another_is_not_pushed_before_it(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 1)
    chats.post(store, chat, text="a")
    second = chats.post(store, chat, text="b")
    claim(store, "another", limit=1)
    async with quiet(store, FakeChannel()) as one:
        await one.ignores(second)
        one.wake_for(chats.post(store, chats.make_chat(store, 1), text="c"))
        await one.pushes("c")

        end(store, "another", second - 1)
        one.wake_for(second)
        await one.pushes("b", "c")


async def test_a_later_message_is_not_pushed_before_its_time(store: Datastore) -> None:
    chat_ids = [chats.make_chat(store, 1) for _ in range(2)]
    later = chats.post(store, chat_ids[0], text="later", delay_s=3600)
    async with quiet(store, FakeChannel()) as one:
        await one.ignores(later)
        one.wake_for(chats.post(store, chat_ids[1], text="now"))
        await one.pushes("now")

        with store.write() as session:
            job = update(PushJob).where(PushJob.id == later)
            session.execute(job.values(due_at=None, finished_at=PushJob.created_at))
