"""Dispatchers under hosts that fork the app, and under an unguarded script."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from models.base import utc_now
from tests.support import dispatcher_host
from tests.support.dispatcher_host import GUNICORN, SCRIPT, UWSGI, DispatcherHost
from tests.support.matrix import some_of
from tests.support.sandbox import Sandbox
from tests.support.server import Server

HOSTS = {"gunicorn": GUNICORN, "uwsgi": UWSGI, "script": SCRIPT}
# Dispatchers with the same wake sender need one host each; dispatchers with their own
# threads or processes need both. A script is different if multiprocessing might run it
# a second time.
PAIRS = [
    *("thread-gunicorn", "thread-uwsgi"),
    *("pool-gunicorn", "pool-uwsgi", "pool-script"),
    *("script-gunicorn", "script-uwsgi"),
    *("manager-gunicorn", "polling-uwsgi", "rq-uwsgi", "celery-gunicorn"),
]
# One for each way to be woken, and each host.
ALWAYS = {"thread-gunicorn", "pool-uwsgi", "pool-script", "script-gunicorn"}
ON_REDIS = {"script", "rq", "celery"}


@pytest.fixture(params=some_of(PAIRS, ALWAYS))
def host(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_sandbox: Sandbox,
) -> Iterator[DispatcherHost]:
    shared_sandbox.reset()
    name, web_server = request.param.split("-")
    with dispatcher_host.running(
        name,
        tmp_path_factory.mktemp(request.param),
        shared_sandbox,
        request.getfixturevalue("redis") if name in ON_REDIS else None,
        # So a job that ends in time was woken for, not found by a watchdog.
        {
            "BOTTLEPOST_WATCHDOG_S": "300",
            "BOTTLEPOST_POLL_S": "300",
            "BOTTLEPOST_LEASE_S": "30",
        },
        HOSTS[web_server],
    ) as host:
        yield host


def test_it_is_woken_and_answers_at_once_and_ends_with_its_host(
    host: DispatcherHost,
) -> None:
    conversation = host.conversation(6)
    # Connect to both providers before the measured message.
    first = host.conversation(2)
    host.wait_until_ended(first, first.post("warm up"))
    host.sandbox.control(latency_ms=800)

    posted = conversation.post()
    answered_at = utc_now()

    job = host.wait_until_ended(conversation, posted)
    assert datetime.fromisoformat(job["finished_at"]) > answered_at
    assert (job["state"], job["accepted"]) == ("completed", 6)
    assert host.pushed(conversation) == dict.fromkeys(conversation.tokens, 1)
    assert host.server.stop(60) == 0
    assert "Traceback" not in host.server.log()


def test_a_uwsgi_without_threads_stops_and_says_what_it_needs(tmp_path: Path) -> None:
    command = UWSGI.replace("--enable-threads --threads 4 ", "").split()

    with Server(tmp_path, {}, command, wait=False) as refused:
        status = refused.process.wait(60)

    assert status != 0
    assert "which needs uWSGI's --enable-threads" in refused.log()
