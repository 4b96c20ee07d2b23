"""The warm engine on a thread, as worker processes and web workers run it."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from datastore import Datastore
from models.pushes import COMPLETED, PushJob
from notifier.process import engine_thread
from notifier.process.engine_thread import EngineThread
from tests.support.chats import make_chat, post
from tests.support.fake_engine import FailingFirst, FakeEngines, pushed
from tests.support.wait import until


@pytest.fixture
def warm(make_settings) -> Iterator[EngineThread]:
    engine = EngineThread(make_settings(), FakeEngines())
    yield engine
    engine.stop(10)


def test_work_returns_when_the_job_is_done(
    store: Datastore, warm: EngineThread, tmp_path
) -> None:
    job_id = post(store, make_chat(store, 1))

    assert warm.work(job_id)

    with store.read() as session:
        assert session.get_one(PushJob, job_id).state == COMPLETED


def test_a_worker_that_stops_does_not_wait_for_its_job(
    store: Datastore, warm: EngineThread, tmp_path
) -> None:
    (tmp_path / "hold").touch()
    job_id = post(store, make_chat(store, 1))

    def lease_owner() -> str | None:
        with store.read() as session:
            job = session.get(PushJob, job_id)
            return None if job is None else job.lease_owner

    with ThreadPoolExecutor(1) as aside:
        done = aside.submit(warm.work, job_id)
        until(lease_owner)
        warm.stop_waiting()

        assert done.result(10) is False
    assert pushed(tmp_path) == []
    (tmp_path / "hold").unlink()
    until(lambda: pushed(tmp_path))


def test_a_wake_up_in_the_pause_after_a_crash_starts_an_engine(
    store: Datastore, make_settings, tmp_path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = EngineThread(make_settings(), FailingFirst())
    with caplog.at_level(logging.ERROR):
        engine.wake()
        until(lambda: "the first engine fails" in caplog.text)

    job_id = post(store, make_chat(store, 1))
    engine.wake()

    # Its watchdog sleeps for an hour.
    assert until(lambda: pushed(tmp_path), 20)[0][0] == job_id
    engine.stop(10)


def test_an_engine_that_crashes_is_not_built_again_without_a_wake_up(
    make_settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_thread, "RESTART_S", 0.05)
    build = FailingFirst()
    engine = EngineThread(make_settings(), build)

    engine.wake()
    until(lambda: "the first engine fails" in caplog.text)
    until(lambda: "engine" not in [thread.name for thread in threading.enumerate()])

    assert build.calls == 1
    engine.stop(10)
