"""What every dispatcher promises, each under its real host with its real workers."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any

import pytest

from models.base import utc_now
from notifier.dispatchers import DISPATCHERS
from tests.support import rabbitmq
from tests.support import stage as stages
from tests.support.client import Reply
from tests.support.sandbox import Sandbox
from tests.support.scene import Talk
from tests.support.stage import KINDS, Stage
from tests.support.wait import until

# With `make test-rabbitmq`: Celery's other broker.
ON_RABBITMQ = [pytest.param("celery-rabbitmq", marks=pytest.mark.rabbitmq)]
MORE = ON_RABBITMQ if rabbitmq.is_wanted() else []
EVERY = [*KINDS, *MORE]
BEHIND_THE_ANSWER = [*(name for name in KINDS if name != "inline"), *MORE]
WITH_BROKER = [*(name for name, kind in KINDS.items() if kind.broker), *MORE]
BROKERS = {
    "script": "redis",
    "rq": "redis",
    "celery": "redis",
    "celery-rabbitmq": "rabbitmq",
}


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_sandbox: Sandbox,
) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp(request.param)
    broker = BROKERS.get(request.param)
    server = request.getfixturevalue(broker) if broker else None
    name = request.param.partition("-")[0]
    with stages.running(name, directory, shared_sandbox, server) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.sandbox.reset()
    return running


def under(names: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("running", names, indirect=True, scope="module")


def post_aside(talk: Talk, text: str) -> "Future[Reply]":
    """Posts on a thread, for `inline` answers late, and again if the host dies."""

    def post() -> Reply | None:
        with suppress(OSError, HTTPException):
            return talk.post(text, client_id=text)
        return None

    pool = ThreadPoolExecutor(1)
    posted = pool.submit(until, post)
    pool.shutdown(wait=False)
    return posted


def test_the_suite_knows_every_dispatcher() -> None:
    assert set(KINDS) == set(DISPATCHERS)


@under(EVERY)
def test_every_device_is_pushed_once(stage: Stage) -> None:
    talk = stage.talk(6)

    posted = talk.post()

    job = stage.wait_until_ended(talk, posted)
    assert posted.status == 201
    assert (job["state"], job["accepted"]) == ("completed", 6)
    assert stage.pushed(talk) == dict.fromkeys(talk.tokens, 1)


@under(BEHIND_THE_ANSWER)
def test_the_answer_does_not_wait_for_the_pushes(stage: Stage) -> None:
    talk = stage.talk(4)
    stage.sandbox.control(latency_ms=800)

    posted = talk.post()
    answered_at = utc_now()

    job = stage.wait_until_ended(talk, posted)
    assert posted.status == 201
    assert datetime.fromisoformat(job["finished_at"]) > answered_at


@under(EVERY)
def test_progress_can_be_read_while_it_runs(stage: Stage) -> None:
    talk = stage.talk(200)
    stage.sandbox.control(latency_ms=200, max_concurrent_streams=3)

    posted = post_aside(talk, "long")

    def is_between() -> bool:
        job = stage.last_job(talk)
        return job is not None and 0 < job.accepted < 200

    until(is_between, what="for a job half done")
    stage.sandbox.control(latency_ms=0, max_concurrent_streams=1000)
    job = stage.wait_until_ended(talk, posted.result(120))
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 200, 200)


@under(EVERY)
def test_a_worker_killed_in_the_middle_loses_nothing(stage: Stage) -> None:
    talk = stage.talk(200)
    stage.sandbox.control(latency_ms=200, max_concurrent_streams=3)

    posted = post_aside(talk, "killed")
    until(lambda: stage.sandbox.summary()["accepted"] >= 20, what="for some pushes")
    stage.kill_engine()
    stage.sandbox.control(latency_ms=0, max_concurrent_streams=1000)

    job = stage.wait_until_ended(talk, posted.result(120))
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 200, 200)
    assert stage.pushed(talk).keys() == talk.tokens


@under(EVERY)
def test_a_message_is_not_pushed_before_its_time(stage: Stage) -> None:
    talk = stage.talk(2)
    deliver_at = utc_now() + timedelta(seconds=1)

    posted = talk.post(deliver_after=deliver_at.isoformat())

    before = stage.job(talk, posted)
    in_time = utc_now() < deliver_at
    job = stage.wait_until_ended(talk, posted)
    assert before["state"] == "queued" or not in_time
    assert job["state"] == "completed"
    assert datetime.fromisoformat(job["started_at"]) >= deliver_at


@under(EVERY)
def test_a_refused_payload_is_told_as_the_jobs_error(stage: Stage) -> None:
    talk = stage.talk(1, platforms=["apns"], tokens=["payload-too-large"])

    posted = talk.post()

    job = stage.wait_until_ended(talk, posted)
    assert (job["accepted"], job["failed"]) == (0, 1)
    assert "PayloadTooLarge" in job["error"]


@under(["uwsgi_spooler"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may undo uWSGI's niceness")
def test_a_spooler_does_not_come_after_everything_else(stage: Stage) -> None:
    talk = stage.talk(2)
    stage.sandbox.control(latency_ms=1000)

    posted = talk.post()

    (pid,) = until(stage.lease_owners, what="for a spooler at work")
    uwsgi = os.getpriority(os.PRIO_PROCESS, stage.server.pid)
    assert os.getpriority(os.PRIO_PROCESS, pid) == uwsgi + 5
    stage.wait_until_ended(talk, posted)


@under(WITH_BROKER)
def test_what_is_posted_while_the_broker_is_away_arrives(stage: Stage) -> None:
    talks = [stage.talk(2) for _ in range(5)]

    with stage.broker_away():
        posts, took_s = [], []
        for talk in talks:
            started = time.monotonic()
            posts.append((talk, talk.post()))
            took_s.append(time.monotonic() - started)

    assert [posted.status for _, posted in posts] == [201] * 5
    # Whoever waits for a broker's timeout waits each time.
    assert min(took_s) < 1
    jobs = [stage.wait_until_ended(talk, posted) for talk, posted in posts]
    assert {job["state"] for job in jobs} == {"completed"}
    pushed = stage.pushed(*talks)
    assert pushed.keys() == set().union(*(talk.tokens for talk in talks))
    # Celery kills its processes when it has lost its broker for good.
    assert max(pushed.values()) <= (2 if stage.name == "celery" else 1)
