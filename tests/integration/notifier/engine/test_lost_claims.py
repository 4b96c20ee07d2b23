"""Jobs whose claim was committed, but whose look was cut short, are begun soon."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from datastore import Datastore, outbox
from datastore.outbox import Claim, due_work
from models.pushes import COMPLETED, PushJob
from notifier.engine import loop
from notifier.engine.loop import Engine
from tests.support import chats
from tests.support.fake_channel import FakeChannel
from tests.support.wait import eventually

# Longer than a test may take: an expired lease does not help to pass it.
LEASE_S = 600.0


def when_jobs_are_loaded(
    monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]
) -> None:
    """Do this once, just before claimed jobs are read, after their claim's commit."""
    actions = [action]
    load = outbox.load

    def act_and_load(*arguments: Any) -> Sequence[Claim]:
        if actions:
            actions.pop()()
        return load(*arguments)

    monkeypatch.setattr(outbox, "load", act_and_load)


async def push_all(store: Datastore, own: Datastore) -> list[str]:
    """Run an engine on its own store until no job is left; returns pushed texts."""
    channel = FakeChannel()
    engine = Engine(own, lambda *_: {"apns": channel}, owner="a", lease_s=LEASE_S)
    running = asyncio.create_task(engine.run(linger_s=None, wake=asyncio.Event()))
    await eventually(lambda: chats.open_jobs(store) == 0)
    engine.stop()
    await running
    return channel.texts()


def own_store(store: Datastore) -> Datastore:
    return Datastore(store.url.render_as_string(hide_password=False))


def job_of(store: Datastore, job_id: int) -> PushJob:
    with store.read() as session:
        return session.get_one(PushJob, job_id)


def break_connection() -> None:
    raise OperationalError("SELECT", {}, Exception("the server went away"))


async def test_a_look_that_fails_after_its_claim_loses_no_job(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = chats.post(store, chats.make_chat(store, 3), text="hello")
    own = own_store(store)
    when_jobs_are_loaded(monkeypatch, break_connection)

    texts = await push_all(store, own)

    job = job_of(store, job_id)
    assert texts == ["hello"] * 3
    assert (job.state, job.attempts) == (COMPLETED, 1)


async def test_a_look_that_is_given_up_after_its_claim_loses_no_job(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOOK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(loop, "LOOK_RETRY_S", 0.05)
    chat = chats.make_chat(store, 2)
    jobs = [chats.post(store, chat, text=text) for text in ("first", "second")]
    own = own_store(store)
    when_jobs_are_loaded(monkeypatch, lambda: time.sleep(0.7))

    texts = await push_all(store, own)

    assert texts == ["first"] * 2 + ["second"] * 2
    assert [job_of(store, job).attempts for job in jobs] == [1, 1]


async def test_a_look_after_a_complete_one_asks_for_no_lost_claims(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("no look was cut short")

    monkeypatch.setattr(due_work, "take_lost", refuse)
    for _ in range(3):
        chats.post(store, chats.make_chat(store, 2))

    assert len(await push_all(store, own_store(store))) == 6
