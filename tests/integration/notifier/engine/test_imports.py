"""An engine works on imports beside its pushes and can stop in the middle of one."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import func, select

from api import import_lines
from api.uploads import JSON_LINES
from datastore import Datastore, imports
from datastore.outbox import job_status
from models.accounts import User
from models.base import utc_now
from models.imports import ImportJob, Row
from notifier.engine.loop import Engine
from tests.support import chats
from tests.support.fake_channel import FakeChannel
from tests.support.uploads import crew, json_lines

CHUNK = 50


def upload(store: Datastore, people: int = 100, *, broken: bool = False) -> int:
    """Create a due import; a broken one has a row that was never checked."""
    lines = import_lines.read(JSON_LINES, [json_lines(*crew(people))])
    rows = [row for row in lines if isinstance(row, Row)]
    if broken:
        rows[-1] = rows[-1]._replace(values={})
    with store.write() as session:
        import_id = imports.begin(session, utc_now())
        for first in range(0, len(rows), CHUNK):
            imports.add(session, import_id, rows[first : first + CHUNK], [])
        imports.close(session, import_id, utc_now())
    return import_id


def find(store: Datastore, import_id: int) -> ImportJob:
    with store.read() as session:
        job = imports.find(session, import_id)
    assert job is not None
    return job


def make_engine(store: Datastore, owner: str = "a", lease_s: float = 30) -> Engine:
    # A pool of its own, because an engine closes its store when it ends.
    own = Datastore(store.url.render_as_string(hide_password=False))
    channels = {"apns": FakeChannel(), "fcm": FakeChannel()}
    return Engine(own, lambda tokens, troubles: channels, owner=owner, lease_s=lease_s)


def drain(*engines: Engine) -> None:
    async def work() -> None:
        async with asyncio.timeout(90):
            await asyncio.gather(
                *(each.run(linger_s=0, wake=asyncio.Event()) for each in engines)
            )

    asyncio.run(work())


def play(engine: Engine, scene: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run an engine until the scene has been played beside it."""

    async def work() -> None:
        wake = asyncio.Event()
        async with asyncio.timeout(90):
            running = asyncio.create_task(engine.run(linger_s=None, wake=wake))
            await scene(wake)
            engine.stop()
            await running

    asyncio.run(work())


async def until_done(store: Datastore, import_id: int, least: int) -> None:
    while find(store, import_id).done < least:
        await asyncio.sleep(0.005)


def test_an_engine_does_not_exit_before_the_import_is_complete(
    store: Datastore,
) -> None:
    import_id = upload(store)

    drain(make_engine(store))

    job = find(store, import_id)
    assert (job.state, job.total, job.done, job.changed) == ("completed", 301, 301, 301)
    assert job.started_at is not None
    assert job.finished_at is not None


def test_imports_come_one_after_the_other(store: Datastore) -> None:
    ids = [upload(store) for _ in range(3)]

    drain(make_engine(store))

    found = [find(store, import_id) for import_id in ids]
    assert [(job.state, job.changed) for job in found] == [
        ("completed", 301),
        ("completed", 0),
        ("completed", 0),
    ]


def test_two_engines_import_no_row_twice(store: Datastore) -> None:
    """Each claims one of two imports of the same rows, at the same time."""
    ids = [upload(store, people=300) for _ in range(2)]

    drain(make_engine(store, "a"), make_engine(store, "b"))
    # An import that conflicted with the other one waits for its retry.
    for import_id in ids:
        if find(store, import_id).state != "completed":
            asyncio.run(until_due(store, import_id))
            drain(make_engine(store, "c"))

    assert [find(store, import_id).done for import_id in ids] == [901, 901]
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 300


async def until_due(store: Datastore, import_id: int) -> None:
    while (due_at := find(store, import_id).due_at) and due_at > utc_now():
        await asyncio.sleep(0.01)


def test_a_waiting_engine_begins_when_it_is_woken(store: Datastore) -> None:
    ids = []

    async def scene(wake: asyncio.Event) -> None:
        ids.append(upload(store, people=10))
        wake.set()
        await until_done(store, ids[0], 31)

    play(make_engine(store), scene)

    assert find(store, ids[0]).changed == 31


def test_an_engine_that_stops_leaves_the_rest_to_others(store: Datastore) -> None:
    import_id = upload(store, people=1000)

    async def scene(wake: asyncio.Event) -> None:
        await until_done(store, import_id, 2 * CHUNK)

    play(make_engine(store, "a"), scene)
    left = find(store, import_id)
    drain(make_engine(store, "b"))

    assert (left.state, left.lease_owner) == ("processing", None)
    assert left.done < 3001
    assert left.due_at is not None
    assert left.due_at <= utc_now()
    job = find(store, import_id)
    assert (job.state, job.done, job.changed) == ("completed", 3001, 3001)


def test_a_failing_import_is_postponed_and_pushes_go_on(store: Datastore) -> None:
    import_id = upload(store, people=10, broken=True)
    push = chats.post(store, chats.make_chat(store, 3))

    drain(make_engine(store))

    job = find(store, import_id)
    assert (job.state, job.done, job.lease_owner) == ("processing", 0, None)
    assert "log of the notifier" in (job.error or "")
    assert job.due_at is not None
    with store.read() as session:
        status = job_status.find(session, push)
        assert session.scalar(select(func.count()).select_from(User)) == 4
    assert status is not None
    assert (status.state, status.accepted) == ("completed", 3)
