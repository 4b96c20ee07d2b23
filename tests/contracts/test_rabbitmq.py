"""What RabbitMQ can do to Celery that Redis cannot, and what must not come of it."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.support import stage as stages
from tests.support.rabbitmq import NamedServer, RabbitServer, is_wanted
from tests.support.sandbox import Sandbox
from tests.support.stage import Stage
from tests.support.wait import until

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.skipif(not is_wanted(), reason="is run by make test-rabbitmq"),
]

# No watchdog comes to help: what arrives was told by RabbitMQ.
NO_WATCHDOG = {"BOTTLEPOST_WATCHDOG_S": "120"}
SLOW = {"latency_ms": 300, "max_concurrent_streams": 2}
QUICK = {"latency_ms": 0, "max_concurrent_streams": 1000}
# Whoever waits for the broker waits twice as long.
ANSWER_S = 5.0


@pytest.fixture
def broker(rabbitmq: RabbitServer | NamedServer) -> RabbitServer:
    if isinstance(rabbitmq, NamedServer):
        pytest.skip("needs a RabbitMQ that a test may hurt")
    return rabbitmq


@pytest.fixture
def told(
    tmp_path_factory: pytest.TempPathFactory,
    shared_sandbox: Sandbox,
    rabbitmq: RabbitServer | NamedServer,
) -> Iterator[Stage]:
    """A stage on which nobody finds a job by himself."""
    directory = tmp_path_factory.mktemp("told")
    with stages.running(
        "celery", directory, shared_sandbox, rabbitmq, NO_WATCHDOG
    ) as stage:
        warm_up = stage.talk(1)
        stage.wait_until_ended(warm_up, warm_up.post())
        yield stage


@pytest.fixture
def watched(
    tmp_path_factory: pytest.TempPathFactory,
    shared_sandbox: Sandbox,
    rabbitmq: RabbitServer | NamedServer,
) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("watched")
    with stages.running("celery", directory, shared_sandbox, rabbitmq) as stage:
        warm_up = stage.talk(1)
        stage.wait_until_ended(warm_up, warm_up.post())
        stage.sandbox.reset()
        yield stage


def test_news_after_a_restart_of_the_broker_is_not_lost(
    told: Stage, broker: RabbitServer
) -> None:
    talk = told.talk(3)

    broker.stop()
    broker.start()
    posted = talk.post()

    job = told.wait_until_ended(talk, posted)
    assert (job["state"], job["accepted"]) == ("completed", 3)


def test_a_broker_that_takes_no_messages_gets_them_later(
    told: Stage, broker: RabbitServer
) -> None:
    """Short of memory or disk, RabbitMQ stops reading from those who publish."""
    talk = told.talk(3)

    broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    started = time.monotonic()
    posts = [talk.post(str(number)) for number in range(5)]
    answered_s = time.monotonic() - started
    broker.control("set_vm_memory_high_watermark", "0.4")

    jobs = [told.wait_until_ended(talk, posted) for posted in posts]
    assert answered_s < ANSWER_S
    assert {(job["state"], job["accepted"]) for job in jobs} == {("completed", 3)}


def test_a_broker_that_hangs_holds_up_no_answer_and_no_push(
    watched: Stage, broker: RabbitServer
) -> None:
    talk = watched.talk(3)

    broker.hang()
    try:
        started = time.monotonic()
        posts = [talk.post(str(number)) for number in range(5)]
        answered_s = time.monotonic() - started
        jobs = [watched.wait_until_ended(talk, posted) for posted in posts]
    finally:
        broker.go_on()

    assert answered_s < ANSWER_S
    assert {(job["state"], job["accepted"]) for job in jobs} == {("completed", 3)}


def test_a_task_of_a_killed_worker_goes_to_another(
    watched: Stage, broker: RabbitServer
) -> None:
    """All processes of the worker that has it, and its leases run out."""
    watched.start_workers()
    first, second = watched.worker_pids()
    talk = watched.talk(200)
    watched.sandbox.control(**SLOW)

    posted = talk.post()
    until(lambda: watched.sandbox.summary()["accepted"] >= 20, what="for some pushes")
    owner = watched.lease_owners().pop()
    killed = first if owner in stages.family(first) else second
    for pid in stages.family(killed):
        os.kill(pid, signal.SIGKILL)
    watched.sandbox.control(**QUICK)

    job = watched.wait_until_ended(talk, posted)
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 200, 200)
    assert watched.pushed(talk).keys() == talk.tokens


def test_a_worker_ends_when_it_is_told_to_while_the_broker_is_away(
    watched: Stage, broker: RabbitServer
) -> None:
    log = watched.run_dir / "worker.log"

    broker.stop()
    until(lambda: "Cannot connect" in log.read_text(), what="for it to be noticed")
    watched.end_workers()
    broker.start()

    watched.start_workers()
    talk = watched.talk(2)
    assert watched.wait_until_ended(talk, talk.post())["accepted"] == 2
