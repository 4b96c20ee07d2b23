"""The database commits, and the engine never hears of it: every write is repeated."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from api import import_lines
from api.uploads import JSON_LINES
from datastore import Datastore, imports
from models.base import utc_now
from models.imports import ImportJob, Row
from models.pushes import COMPLETED, Notification, PushFailure, PushJob
from notifier.engine import ANY_JOB, async_store, job_run, loop, tally
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED, Kind, Outcome
from tests.support import chats
from tests.support.fake_channel import FakeChannel
from tests.support.lost_answers import LostAnswers
from tests.support.uploads import crew, json_lines
from tests.support.wait import eventually

# Longer than a test may take: an expired lease does not help to pass it.
LEASE_S = 600.0
LATER = Outcome(Kind.LATER, "Busy")


@pytest.fixture(autouse=True)
def _small_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    # A repeated write comes after other work of the engine.
    monkeypatch.setattr(async_store, "FIRST_PAUSE_S", 0.03)
    monkeypatch.setattr(async_store, "LONGEST_PAUSE_S", 0.03)
    for module in (tally, loop):
        monkeypatch.setattr(module, "retry_delay_s", lambda *_: 0.0)


async def push_all(
    store: Datastore,
    channel: FakeChannel,
    *,
    job_id: int = ANY_JOB,
    is_done: Callable[[], bool] | None = None,
) -> LostAnswers:
    own = LostAnswers(store)
    engine = Engine(own, lambda *_: {"apns": channel}, owner="a", lease_s=LEASE_S)
    engine.expect(job_id)
    running = asyncio.create_task(engine.run(linger_s=None, wake=asyncio.Event()))
    await eventually(is_done or (lambda: chats.open_jobs(store) == 0))
    engine.stop()
    await running
    assert own.lost > 0
    return own


def jobs_of(store: Datastore) -> list[PushJob]:
    with store.read() as session:
        return list(session.scalars(select(PushJob).order_by(PushJob.id)))


def counted(jobs: list[PushJob]) -> list[tuple[Any, ...]]:
    return [(job.state, job.accepted, job.failed, job.total) for job in jobs]


async def test_a_job_that_a_wake_up_names_is_claimed_once_and_soon(
    store: Datastore,
) -> None:
    job_id = chats.post(store, chats.make_chat(store, 3), text="hello")
    channel = FakeChannel()

    await push_all(store, channel, job_id=job_id)

    assert channel.texts() == ["hello"] * 3
    (job,) = jobs_of(store)
    assert (job.state, job.accepted, job.attempts) == (COMPLETED, 3, 1)


async def test_a_busy_conversation_keeps_its_order(store: Datastore) -> None:
    chat = chats.make_chat(store, 2)
    texts = [f"message {n}" for n in range(20)]
    for text in texts:
        chats.post(store, chat, text=text)
    channel = FakeChannel()

    await push_all(store, channel)

    assert channel.texts() == [text for text in texts for _ in range(2)]
    assert counted(jobs_of(store)) == [(COMPLETED, 2, 0, 2)] * 20


async def test_retries_are_pushed_and_counted_once(store: Datastore) -> None:
    asked: Counter[tuple[str, int]] = Counter()
    channel = FakeChannel()

    def busy_three_times(target: Any) -> Outcome:
        asked[target.device_id] += 1
        return LATER if asked[target.device_id] <= 3 else ACCEPTED

    channel.answer = busy_three_times
    for _ in range(5):
        chats.post(store, chats.make_chat(store, 4))

    await push_all(store, channel)

    assert set(asked.values()) == {4}
    assert counted(jobs_of(store)) == [(COMPLETED, 4, 0, 4)] * 5
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(PushFailure)) == 0


async def test_a_split_makes_each_range_once(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_run, "SHARD_SIZE", 150)
    monkeypatch.setattr(job_run, "BATCH_SIZE", 100)
    chat = chats.make_chat(store, 700)
    job_id = chats.post(store, chat)
    channel = FakeChannel()

    await push_all(store, channel, job_id=job_id)

    assert len(set(channel.devices())) == len(channel.devices()) == 700
    parts = jobs_of(store)
    assert len(parts) == len({part.until_user for part in parts}) > 3
    assert sum(part.accepted for part in parts) == 700
    assert {part.holding_shards for part in parts} == {0}


class BreaksOnce(FakeChannel):
    """Cannot render the first payloads."""

    awaits_token = False

    def __init__(self) -> None:
        super().__init__()
        self.broken = 3

    def render(self, notification: Notification) -> Notification:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("cannot be rendered")
        return notification


async def test_a_job_that_is_postponed_is_pushed_once(store: Datastore) -> None:
    chats.post(store, chats.make_chat(store, 3), text="hello")
    channel = BreaksOnce()

    await push_all(store, channel)

    assert channel.texts() == ["hello"] * 3
    assert counted(jobs_of(store)) == [(COMPLETED, 3, 0, 3)]


async def test_an_import_goes_on_and_each_chunk_is_counted_once(
    store: Datastore,
) -> None:
    rows = import_lines.read(JSON_LINES, [json_lines(*crew(20))])
    people = [row for row in rows if isinstance(row, Row)]
    with store.write() as session:
        for _ in range(2):
            import_id = imports.begin(session, utc_now())
            for k in range(0, len(people), 8):
                imports.add(session, import_id, people[k : k + 8], [])
            imports.close(session, import_id, utc_now())

    def are_done() -> bool:
        return all(job.finished_at for job in imports_of(store))

    await push_all(store, FakeChannel(), is_done=are_done)

    assert [(job.state, job.done, job.failed) for job in imports_of(store)] == [
        (COMPLETED, len(people), 0)
    ] * 2


def imports_of(store: Datastore) -> list[ImportJob]:
    with store.read() as session:
        return list(session.scalars(select(ImportJob).order_by(ImportJob.id)))
