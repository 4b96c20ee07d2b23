"""The warm engine of a worker process that is fed with news."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from datastore import Datastore
from models.pushes import COMPLETED, PushJob
from notifier.process.engine_thread import WarmEngine
from tests.support.chats import make_chat, post
from tests.support.fake_engine import FakeEngines, pushed
from tests.support.wait import until


@pytest.fixture
def warm(make_settings) -> Iterator[WarmEngine]:
    engine = WarmEngine(make_settings(), FakeEngines())
    yield engine
    engine.stop(10)


def test_work_returns_when_the_job_is_done(
    store: Datastore, warm: WarmEngine, tmp_path
) -> None:
    job_id = post(store, make_chat(store, 1))

    assert warm.work(job_id)

    with store.read() as session:
        assert session.get_one(PushJob, job_id).state == COMPLETED


def test_a_worker_that_leaves_does_not_wait_for_its_job(
    store: Datastore, warm: WarmEngine, tmp_path
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
        warm.leave()

        assert done.result(10) is False
    assert pushed(tmp_path) == []
    (tmp_path / "hold").unlink()
    until(lambda: pushed(tmp_path))
