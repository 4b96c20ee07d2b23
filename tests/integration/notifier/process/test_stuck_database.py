"""A query that hangs for longer than a lease: another engine goes on.

The server's processes for the engine's connections are stopped, as if their machine
were frozen; on SQLite, a stopped process holds the writers' lock.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from config import Settings
from datastore import Datastore
from models.pushes import COMPLETED, PushJob
from notifier.dispatchers.process import ProcessDispatcher
from notifier.process.engine_thread import EngineThread
from tests.support import databases, lock_holder, push_processes
from tests.support.chats import make_chat, post
from tests.support.file_engine import CONNECTION, FileEngines, pushes
from tests.support.wait import until

LEASE_S = 2.0
DATABASES = "sqlite", "postgresql"


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def settings(store: Datastore, make_settings: Any) -> Settings:
    return make_settings(
        database_url=store.url.render_as_string(hide_password=False),
        lease_s=LEASE_S,
        push_linger_s=60.0,
        # The last resort for jobs whose lease has to expire.
        watchdog_s=0.5,
    )


@pytest.fixture
def dispatcher(settings: Settings) -> Iterator[ProcessDispatcher]:
    dispatcher = ProcessDispatcher(settings, FileEngines())
    dispatcher.start()
    yield dispatcher
    dispatcher.close()


@pytest.fixture
def thread(settings: Settings) -> Iterator[EngineThread]:
    thread = EngineThread(settings, FileEngines())
    yield thread
    thread.stop(10)


def hanging(store: Datastore) -> AbstractContextManager[None]:
    """Whatever the engine asks of the database hangs until the end of the block."""
    if store.is_sqlite:
        return lock_holder.stopped(store.url.render_as_string(hide_password=False))
    return stopped_servers(store)


@contextmanager
def stopped_servers(store: Datastore) -> Iterator[None]:
    """Those that serve the connections that the engine has now."""
    query = text("SELECT pid FROM pg_stat_activity WHERE application_name = :name")
    with store.read() as session:
        pids = session.scalars(query, {"name": CONNECTION}).all()
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def texts(settings: Settings) -> list[str]:
    return [text for text, *_ in pushes(settings.run_dir)]


def check_pushed(settings: Settings) -> None:
    """Both messages are pushed; the second one again if the database hung after it."""
    first, *others = texts(settings)
    assert (first, set(others)) == ("first", {"second"})
    assert len(others) <= 2


def are_completed(store: Datastore, *job_ids: int) -> bool:
    with store.read() as session:
        return all(
            session.get_one(PushJob, job_id).state == COMPLETED for job_id in job_ids
        )


def begin(store: Datastore, settings: Settings, wake: Callable[[int], object]) -> int:
    """A first message, so that the engine is warm; returns the conversation."""
    chat = make_chat(store, 1)
    job_id = post(store, chat, text="first")
    wake(job_id)
    until(lambda: are_completed(store, job_id))
    return chat


def test_a_push_process_leaves_its_slot_to_another_one(
    store: Datastore, settings: Settings, dispatcher: ProcessDispatcher
) -> None:
    chat = begin(store, settings, dispatcher.dispatch)
    (stuck,) = push_processes.living(settings.run_dir)
    job_id = post(store, chat, text="second")

    with hanging(store):
        dispatcher.dispatch(job_id)
        until(lambda: push_processes.is_gone(stuck))
        if not store.is_sqlite:
            # Only the connections of the first one hang.
            until(lambda: are_completed(store, job_id))
    until(lambda: are_completed(store, job_id))

    check_pushed(settings)


def test_a_push_process_ends_at_sigterm_although_a_query_hangs(
    store: Datastore, settings: Settings, dispatcher: ProcessDispatcher
) -> None:
    chat = begin(store, settings, dispatcher.dispatch)
    (stuck,) = push_processes.living(settings.run_dir)
    job_id = post(store, chat, text="second")

    with hanging(store):
        dispatcher.dispatch(job_id)
        os.kill(stuck, signal.SIGTERM)
        until(lambda: push_processes.is_gone(stuck))
    until(lambda: are_completed(store, job_id))

    check_pushed(settings)


def threads_of_queries() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name in ("reads", "writes")}


def test_elsewhere_another_engine_begins_and_the_first_writes_nothing(
    store: Datastore,
    settings: Settings,
    thread: EngineThread,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = threads_of_queries()
    chat = begin(store, settings, thread.wake)
    stuck = threads_of_queries() - before
    job_id = post(store, chat, text="second")

    with hanging(store):
        thread.wake(job_id)
        until(lambda: "another engine goes on" in caplog.text)
        if not store.is_sqlite:
            until(lambda: are_completed(store, job_id))
    until(lambda: are_completed(store, job_id))
    until(lambda: not any(each.is_alive() for each in stuck))

    check_pushed(settings)
    with store.read() as session:
        # An engine that had no claim when the database hung has pushed nothing.
        claims = session.get_one(PushJob, job_id).attempts
    assert texts(settings).count("second") == claims


def test_a_lock_of_a_hanging_transaction_does_not_stop_the_next_engine(
    store: Datastore, settings: Settings, thread: EngineThread
) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite locks no rows")
    chat, other = begin(store, settings, thread.wake), make_chat(store, 1)
    held, free = (
        post(store, chat, text="second"),
        post(store, other, text="other"),
    )

    with store.write() as session, hanging(store):
        session.get_one(PushJob, held, with_for_update=True)
        thread.wake(held)
        until(lambda: are_completed(store, free))
    until(lambda: are_completed(store, held))

    assert sorted(texts(settings)) == ["first", "other", "second"]
