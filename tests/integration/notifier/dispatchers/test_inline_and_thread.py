"""The dispatchers that push in the web worker itself: `inline` and `thread`."""

import logging
import os
import threading
from collections.abc import Iterator

import pytest

from bottlepost import wake_ups
from config import Settings
from datastore import Datastore
from models.pushes import PushJob
from notifier.dispatchers import inline
from notifier.dispatchers.inline import InlineDispatcher
from notifier.process.engine_thread import EngineThreadDispatcher
from tests.support.chats import make_chat, post
from tests.support.fake_engine import FailingFirst, FakeEngines, pushed
from tests.support.wait import until


@pytest.fixture(params=[InlineDispatcher, EngineThreadDispatcher])
def kind(request: pytest.FixtureRequest):
    return request.param


@pytest.fixture
def opened() -> Iterator[list]:
    """Dispatchers to be closed at the end."""
    dispatchers: list = []
    yield dispatchers
    for dispatcher in dispatchers:
        dispatcher.close()


def _started(kind, settings: Settings, build, opened: list):
    dispatcher = kind(settings, build)
    opened.append(dispatcher)
    dispatcher.start()
    return dispatcher


class NoWatchdog:
    """In place of a watchdog that would wake the engine before the dispatch."""

    def __init__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass


def test_inline_returns_when_the_pushes_have_been_sent(
    store: Datastore, make_settings, opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "Watchdog", NoWatchdog)
    settings = make_settings()
    dispatcher = _started(InlineDispatcher, settings, FakeEngines(), opened)
    job_id = post(store, make_chat(store, 1))

    dispatcher.dispatch(job_id)

    assert pushed(settings.run_dir) == [(job_id, os.getpid())]


def test_thread_returns_before_the_pushes_have_been_sent(
    store: Datastore, make_settings, opened
) -> None:
    settings = make_settings()
    (settings.run_dir / "hold").touch()
    dispatcher = _started(EngineThreadDispatcher, settings, FakeEngines(), opened)
    job_id = post(store, make_chat(store, 1))

    dispatcher.dispatch(job_id)
    pushed_before = pushed(settings.run_dir)
    (settings.run_dir / "hold").unlink()

    assert pushed_before == []
    assert until(lambda: pushed(settings.run_dir)) == [(job_id, os.getpid())]


def test_thread_keeps_one_warm_engine(store: Datastore, make_settings, opened) -> None:
    settings = make_settings()
    dispatcher = _started(EngineThreadDispatcher, settings, FakeEngines(), opened)
    chat_id = make_chat(store, 1)

    for count in (1, 2, 3):
        dispatcher.dispatch(post(store, chat_id))
        until(lambda count=count: len(pushed(settings.run_dir)) == count)

    assert [t.name for t in threading.enumerate()].count("engine") == 1


def test_work_from_before_the_start_is_done(
    kind, store: Datastore, make_settings, opened
) -> None:
    settings = make_settings()
    job_id = post(store, make_chat(store, 1))

    _started(kind, settings, FakeEngines(), opened)

    assert until(lambda: pushed(settings.run_dir)) == [(job_id, os.getpid())]


def test_a_command_wakes_the_web_worker_long_before_its_watchdog(
    kind, store: Datastore, make_settings, opened
) -> None:
    settings = make_settings(watchdog_s=3600)
    chat_id = make_chat(store, 1)
    jobs = [post(store, chat_id)]
    _started(kind, settings, FakeEngines(), opened)
    until(lambda: pushed(settings.run_dir))

    jobs.append(post(store, chat_id))
    wake_ups.send(settings, jobs[-1])

    assert until(lambda: [each for each, _ in pushed(settings.run_dir)] == jobs)


def test_a_failing_engine_is_logged_and_the_next_job_gets_another(
    kind, store: Datastore, make_settings, opened, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings()
    dispatcher = _started(kind, settings, FailingFirst(), opened)
    jobs = {post(store, make_chat(store, 1)) for _ in range(2)}

    with caplog.at_level(logging.ERROR):
        dispatcher.dispatch(min(jobs))
        until(lambda: "the first engine fails" in caplog.text)
        # The watchdog may have replaced it already, and then it stays.
        until(lambda: not _has_engine() or len(pushed(settings.run_dir)) == len(jobs))
        dispatcher.dispatch(max(jobs))

    until(lambda: {job_id for job_id, _ in pushed(settings.run_dir)} == jobs)


def _has_engine() -> bool:
    return "engine" in [thread.name for thread in threading.enumerate()]


def test_a_closed_thread_gives_its_leases_back(
    store: Datastore, make_settings, opened
) -> None:
    settings = make_settings(lease_s=600.0)
    (settings.run_dir / "hold").touch()
    dispatcher = _started(EngineThreadDispatcher, settings, FakeEngines(), opened)
    job_id = post(store, make_chat(store, 1))

    def lease() -> str | None:
        with store.read() as session:
            return session.get_one(PushJob, job_id).lease_owner

    dispatcher.dispatch(job_id)
    until(lease)
    dispatcher.close()

    assert lease() is None
