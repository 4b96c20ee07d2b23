"""Dispatchers under hosts that fork the app, and one under a script of one's own."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from models.base import utc_now
from tests.support import stage as stages
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.stage import GUNICORN, SCRIPT, UWSGI, Stage

HOSTS = {"gunicorn": GUNICORN, "uwsgi": UWSGI, "script": SCRIPT}
# Those that send news from a thread of the same make need one host each; those that
# begin threads or processes of their own, both. A script makes a difference where
# multiprocessing might run it a second time.
PAIRS = [
    *("thread-gunicorn", "thread-uwsgi"),
    *("pool-gunicorn", "pool-uwsgi", "pool-script"),
    *("script-gunicorn", "script-uwsgi"),
    *("manager-gunicorn", "polling-uwsgi", "rq-uwsgi", "celery-gunicorn"),
]
ON_REDIS = {"script", "rq", "celery"}


@pytest.fixture(params=PAIRS)
def stage(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_sandbox: Sandbox,
) -> Iterator[Stage]:
    shared_sandbox.reset()
    name, host = request.param.split("-")
    with stages.running(
        name,
        tmp_path_factory.mktemp(request.param),
        shared_sandbox,
        request.getfixturevalue("redis") if name in ON_REDIS else None,
        # What arrives in time was told, not found by a watchdog.
        {
            "BOTTLEPOST_WATCHDOG_S": "300",
            "BOTTLEPOST_POLL_S": "300",
            "BOTTLEPOST_LEASE_S": "30",
        },
        HOSTS[host],
    ) as stage:
        yield stage


def test_it_is_told_and_answers_at_once_and_ends_with_its_host(stage: Stage) -> None:
    talk = stage.talk(6)
    # Both providers: connections are made before it counts.
    first = stage.talk(2)
    stage.wait_until_ended(first, first.post("warm up"))
    stage.sandbox.control(latency_ms=800)

    posted = talk.post()
    answered_at = utc_now()

    job = stage.wait_until_ended(talk, posted)
    assert datetime.fromisoformat(job["finished_at"]) > answered_at
    assert (job["state"], job["accepted"]) == ("completed", 6)
    assert stage.pushed(talk) == dict.fromkeys(talk.tokens, 1)
    assert stage.server.stop(60) == 0
    assert "Traceback" not in stage.server.log()


def test_a_uwsgi_without_threads_stops_and_says_what_it_needs(tmp_path: Path) -> None:
    command = UWSGI.replace("--enable-threads --threads 4 ", "").split()

    with Server(tmp_path, {}, command, wait=False) as refused:
        status = refused.process.wait(60)

    assert status != 0
    assert "which needs uWSGI's --enable-threads" in refused.log()
