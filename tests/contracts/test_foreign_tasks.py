"""Whoever can write to the broker runs no code in our workers, and stops no push."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis
from rq import Callback, Queue
from rq.serializers import JSONSerializer

from notifier.dispatchers import celery_queue, rq_queue
from tests.support import dispatcher_host, foreign_task
from tests.support.redis_server import RedisServer
from tests.support.sandbox import Sandbox

FOREIGN = "tests.support.foreign_task.run"
# No number of a job, or more than one.
ODD: list[list[Any]] = [["1; run"], [True], [-1], [2**70], [1.5], [None], [], [1, 2]]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One that no other test writes to."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


def send_to_rq(server: RedisServer) -> None:
    with Redis.from_url(server.url) as connection:
        pickled = Queue(rq_queue.QUEUE, connection=connection)
        plain = Queue(rq_queue.QUEUE, connection=connection, serializer=JSONSerializer)
        for queue in (pickled, plain):
            queue.enqueue_call(FOREIGN)
            queue.enqueue_call(FOREIGN, args=(1,))
        pickled.enqueue_call(rq_queue.TASK, args=(foreign_task.Bomb(),))
        callback = Callback(foreign_task.run)
        for args in ([1], ["x"]):
            plain.enqueue_call(
                rq_queue.TASK, args=args, on_success=callback, on_failure=callback
            )
        for args in ODD:
            plain.enqueue_call(rq_queue.TASK, args=args)
        plain.enqueue_call(rq_queue.TASK, args=[1], kwargs={"again": 1})


def send_to_celery(server: RedisServer) -> None:
    celery = Celery(broker=server.url, set_as_current=False)
    celery.conf.task_default_queue = celery_queue.QUEUE

    def send(name: str, args: list[Any], **more: Any) -> None:
        celery.send_task(name, args, **more)

    send(celery_queue.TASK, [foreign_task.Bomb()], serializer="pickle")
    send(FOREIGN, [])
    send("celery.map", [{"task": FOREIGN}, [[1]]])
    link = celery.signature(FOREIGN, immutable=True)
    send(celery_queue.TASK, [1], link=link, link_error=link)
    for args in ODD:
        send(celery_queue.TASK, args)
    celery.close()


@pytest.mark.parametrize(
    ("name", "send"), [("rq", send_to_rq), ("celery", send_to_celery)]
)
def test_they_are_not_run(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    shared_sandbox: Sandbox,
    redis: RedisServer,
    name: str,
    send: Any,
) -> None:
    marker = tmp_path / "marker"
    shared_sandbox.reset()
    # A short path, because there are sockets in it.
    run_dir = tmp_path_factory.mktemp(name)
    settings = {"BOTTLEPOST_WATCHDOG_S": "300", foreign_task.MARKER: str(marker)}
    with dispatcher_host.running(
        name, run_dir, shared_sandbox, redis, settings
    ) as host:
        conversation = host.conversation(2)
        host.wait_until_ended(conversation, conversation.post("before"))

        send(redis)
        # Behind them in the queue, so they have been taken when it has been pushed.
        host.wait_until_ended(conversation, conversation.post("after"))

    assert not marker.exists()
