"""Faults of RabbitMQ that Redis does not have, and Celery's guarantees despite them."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.support import dispatcher_host
from tests.support.dispatcher_host import DispatcherHost
from tests.support.rabbitmq_server import NamedServer, RabbitServer, is_wanted
from tests.support.sandbox import Sandbox
from tests.support.wait import until

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.skipif(not is_wanted(), reason="is run by make test-rabbitmq"),
]

# No watchdog helps: a message that arrives was announced by RabbitMQ.
NO_WATCHDOG = {"BOTTLEPOST_WATCHDOG_S": "120"}
SLOW = {"latency_ms": 300, "max_concurrent_streams": 2}
QUICK = {"latency_ms": 0, "max_concurrent_streams": 1000}
# A request that waited for the broker would take twice as long.
ANSWER_S = 5.0


@pytest.fixture
def broker(rabbitmq: RabbitServer | NamedServer) -> RabbitServer:
    if isinstance(rabbitmq, NamedServer):
        pytest.skip("needs a RabbitMQ that a test may stop")
    return rabbitmq


@pytest.fixture
def unwatched(
    tmp_path_factory: pytest.TempPathFactory,
    shared_sandbox: Sandbox,
    rabbitmq: RabbitServer | NamedServer,
) -> Iterator[DispatcherHost]:
    """A host without a watchdog that would find jobs."""
    directory = tmp_path_factory.mktemp("unwatched")
    with dispatcher_host.running(
        "celery", directory, shared_sandbox, rabbitmq, NO_WATCHDOG
    ) as host:
        warm_up = host.conversation(1)
        host.wait_until_ended(warm_up, warm_up.post())
        yield host


@pytest.fixture
def watched(
    tmp_path_factory: pytest.TempPathFactory,
    shared_sandbox: Sandbox,
    rabbitmq: RabbitServer | NamedServer,
) -> Iterator[DispatcherHost]:
    directory = tmp_path_factory.mktemp("watched")
    with dispatcher_host.running("celery", directory, shared_sandbox, rabbitmq) as host:
        warm_up = host.conversation(1)
        host.wait_until_ended(warm_up, warm_up.post())
        host.sandbox.reset()
        yield host


def test_a_wake_up_after_a_restart_of_the_broker_is_not_lost(
    unwatched: DispatcherHost, broker: RabbitServer
) -> None:
    conversation = unwatched.conversation(3)

    broker.stop()
    broker.start()
    posted = conversation.post()

    job = unwatched.wait_until_ended(conversation, posted)
    assert (job["state"], job["accepted"]) == ("completed", 3)


def test_a_broker_that_accepts_no_messages_gets_them_later(
    unwatched: DispatcherHost, broker: RabbitServer
) -> None:
    """RabbitMQ stops reading from publishers when it is short of memory or disk."""
    conversation = unwatched.conversation(3)

    broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    started = time.monotonic()
    posts = [conversation.post(str(number)) for number in range(5)]
    answered_s = time.monotonic() - started
    broker.control("set_vm_memory_high_watermark", "0.4")

    jobs = [unwatched.wait_until_ended(conversation, posted) for posted in posts]
    assert answered_s < ANSWER_S
    assert {(job["state"], job["accepted"]) for job in jobs} == {("completed", 3)}


def test_a_broker_that_hangs_delays_no_answer_and_no_push(
    watched: DispatcherHost, broker: RabbitServer
) -> None:
    conversation = watched.conversation(3)

    broker.hang()
    try:
        started = time.monotonic()
        posts = [conversation.post(str(number)) for number in range(5)]
        answered_s = time.monotonic() - started
        jobs = [watched.wait_until_ended(conversation, posted) for posted in posts]
    finally:
        broker.resume()

    assert answered_s < ANSWER_S
    assert {(job["state"], job["accepted"]) for job in jobs} == {("completed", 3)}


def test_a_task_of_a_killed_worker_goes_to_another(
    watched: DispatcherHost, broker: RabbitServer
) -> None:
    """All processes of the worker are killed, so its leases have to expire."""
    watched.start_workers()
    first, second = watched.worker_pids()
    conversation = watched.conversation(200)
    watched.sandbox.control(**SLOW)

    posted = conversation.post()
    until(lambda: watched.sandbox.summary()["accepted"] >= 20, what="for some pushes")
    owner = watched.lease_owners().pop()
    killed = first if owner in dispatcher_host.family(first) else second
    for pid in dispatcher_host.family(killed):
        os.kill(pid, signal.SIGKILL)
    watched.sandbox.control(**QUICK)

    job = watched.wait_until_ended(conversation, posted)
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 200, 200)
    assert watched.pushed(conversation).keys() == conversation.tokens


def test_a_worker_ends_on_a_signal_while_the_broker_is_down(
    watched: DispatcherHost, broker: RabbitServer
) -> None:
    log = watched.run_dir / "worker.log"

    broker.stop()
    until(lambda: "Cannot connect" in log.read_text(), what="for it to be noticed")
    watched.end_workers()
    broker.start()

    watched.start_workers()
    conversation = watched.conversation(2)
    assert watched.wait_until_ended(conversation, conversation.post())["accepted"] == 2
