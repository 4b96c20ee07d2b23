"""The guarantees of every dispatcher, under its real host with its real workers."""

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
from tests.support import dispatcher_host, rabbitmq_server
from tests.support.client import Reply
from tests.support.dispatcher_host import KINDS, DispatcherHost
from tests.support.running_system import Conversation
from tests.support.sandbox import Sandbox
from tests.support.wait import until

# With `make test-rabbitmq`: Celery's other broker.
ON_RABBITMQ = [pytest.param("celery-rabbitmq", marks=pytest.mark.rabbitmq)]
MORE = ON_RABBITMQ if rabbitmq_server.is_wanted() else []
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
def shared_host(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_sandbox: Sandbox,
) -> Iterator[DispatcherHost]:
    directory = tmp_path_factory.mktemp(request.param)
    broker = BROKERS.get(request.param)
    server = request.getfixturevalue(broker) if broker else None
    name = request.param.partition("-")[0]
    with dispatcher_host.running(name, directory, shared_sandbox, server) as host:
        yield host


@pytest.fixture
def host(shared_host: DispatcherHost) -> DispatcherHost:
    shared_host.sandbox.reset()
    return shared_host


def under(names: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("shared_host", names, indirect=True, scope="module")


def post_on_thread(conversation: Conversation, text: str) -> "Future[Reply]":
    """Post on a thread, because `inline` answers late; again if the host dies."""

    def post() -> Reply | None:
        with suppress(OSError, HTTPException):
            return conversation.post(text, client_id=text)
        return None

    pool = ThreadPoolExecutor(1)
    posted = pool.submit(until, post)
    pool.shutdown(wait=False)
    return posted


def test_the_suite_knows_every_dispatcher() -> None:
    assert set(KINDS) == set(DISPATCHERS)


@under(EVERY)
def test_every_device_is_pushed_once(host: DispatcherHost) -> None:
    conversation = host.conversation(6)

    posted = conversation.post()

    job = host.wait_until_ended(conversation, posted)
    assert posted.status == 201
    assert (job["state"], job["accepted"]) == ("completed", 6)
    assert host.pushed(conversation) == dict.fromkeys(conversation.tokens, 1)


@under(BEHIND_THE_ANSWER)
def test_the_answer_does_not_wait_for_the_pushes(host: DispatcherHost) -> None:
    conversation = host.conversation(4)
    host.sandbox.control(latency_ms=800)

    posted = conversation.post()
    answered_at = utc_now()

    job = host.wait_until_ended(conversation, posted)
    assert posted.status == 201
    assert datetime.fromisoformat(job["finished_at"]) > answered_at


@under(EVERY)
def test_progress_can_be_read_while_it_runs(host: DispatcherHost) -> None:
    conversation = host.conversation(200)
    host.sandbox.control(latency_ms=200, max_concurrent_streams=3)

    posted = post_on_thread(conversation, "long")

    def is_between() -> bool:
        job = host.last_job(conversation)
        return job is not None and 0 < job.accepted < 200

    until(is_between, what="for a job half done")
    host.sandbox.control(latency_ms=0, max_concurrent_streams=1000)
    job = host.wait_until_ended(conversation, posted.result(120))
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 200, 200)


@under(EVERY)
def test_a_worker_killed_in_the_middle_loses_nothing(host: DispatcherHost) -> None:
    conversation = host.conversation(200)
    host.sandbox.control(latency_ms=200, max_concurrent_streams=3)

    posted = post_on_thread(conversation, "killed")
    until(lambda: host.sandbox.summary()["accepted"] >= 20, what="for some pushes")
    host.kill_engine()
    host.sandbox.control(latency_ms=0, max_concurrent_streams=1000)

    job = host.wait_until_ended(conversation, posted.result(120))
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 200, 200)
    assert host.pushed(conversation).keys() == conversation.tokens


@under(EVERY)
def test_a_message_is_not_pushed_before_its_time(host: DispatcherHost) -> None:
    conversation = host.conversation(2)
    deliver_at = utc_now() + timedelta(seconds=1)

    posted = conversation.post(deliver_after=deliver_at.isoformat())

    before = host.job(conversation, posted)
    in_time = utc_now() < deliver_at
    job = host.wait_until_ended(conversation, posted)
    assert before["state"] == "queued" or not in_time
    assert job["state"] == "completed"
    assert datetime.fromisoformat(job["started_at"]) >= deliver_at


@under(EVERY)
def test_a_refused_payload_is_the_jobs_error(host: DispatcherHost) -> None:
    conversation = host.conversation(
        1, platforms=["apns"], tokens=["payload-too-large"]
    )

    posted = conversation.post()

    job = host.wait_until_ended(conversation, posted)
    assert (job["accepted"], job["failed"]) == (0, 1)
    assert job["error"] == "apns: the pushes were not accepted"
    status = host.last_job(conversation)
    assert "PayloadTooLarge" in ((status and status.error) or "")


@under(["uwsgi_spooler"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise the priority")
def test_a_spooler_does_not_run_at_the_lowest_priority(host: DispatcherHost) -> None:
    conversation = host.conversation(2)
    host.sandbox.control(latency_ms=1000)

    posted = conversation.post()

    (pid,) = until(host.lease_owners, what="for a working spooler")
    uwsgi = os.getpriority(os.PRIO_PROCESS, host.server.pid)
    assert os.getpriority(os.PRIO_PROCESS, pid) == uwsgi
    host.wait_until_ended(conversation, posted)


@under(WITH_BROKER)
def test_messages_posted_while_the_broker_is_down_arrive(host: DispatcherHost) -> None:
    conversations = [host.conversation(2) for _ in range(5)]

    with host.broker_down():
        posts, took_s = [], []
        for conversation in conversations:
            started = time.monotonic()
            posts.append((conversation, conversation.post()))
            took_s.append(time.monotonic() - started)

    assert [posted.status for _, posted in posts] == [201] * 5
    # A request that waited for the broker's timeout would do so each time.
    assert min(took_s) < 1
    jobs = [
        host.wait_until_ended(conversation, posted) for conversation, posted in posts
    ]
    assert {job["state"] for job in jobs} == {"completed"}
    pushed = host.pushed(*conversations)
    assert pushed.keys() == set().union(
        *(conversation.tokens for conversation in conversations)
    )
    # Celery kills its processes when its connection to the broker is lost for good.
    assert max(pushed.values()) <= (2 if host.name == "celery" else 1)
