"""PushProcess under every supported web server."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from datastore import Datastore
from models.pushes import PROCESSING, PushJob
from tests.support import databases, dispatching_app, push_processes
from tests.support.chats import make_chat
from tests.support.fake_engine import pushed
from tests.support.matrix import some_of
from tests.support.paths import ROOT
from tests.support.push_processes import is_alive, is_gone, owners
from tests.support.server import free_port
from tests.support.wait import until

BIN = Path(sys.executable).parent

GUNICORN = (
    "-m gunicorn -w 1 -b 127.0.0.1:{port} tests.support.dispatching_app:create_app()"
)
# A worker that is still starting may miss uWSGI's signal to end; uWSGI would then wait
# a minute for it.
UWSGI = (
    "--http-socket 127.0.0.1:{port} --master --need-app --die-on-term "
    "--worker-reload-mercy 5 --module tests.support.dispatching_app:create_app()"
)
HOSTS = {
    "bottle": "-m tests.support.dispatching_app {port}",
    "waitress": "-m waitress --listen 127.0.0.1:{port} --call "
    "tests.support.dispatching_app:create_app",
    "granian": "-m granian --interface wsgi --port {port} --respawn-failed-workers "
    "--factory tests.support.dispatching_app:create_app",
    # As `python server.py` runs.
    "own-host": "-m granian --interface rsgi --port {port} --respawn-failed-workers "
    "--factory tests.support.dispatching_app:create_rsgi_app",
    "gunicorn-sync": GUNICORN,
    "gunicorn-gthread": f"{GUNICORN} -k gthread --threads 4",
    "gunicorn-max-requests-1": f"{GUNICORN} --max-requests 1",
    "gunicorn-preload": f"{GUNICORN} --preload",
    "uwsgi-processes": f"{BIN}/uwsgi {UWSGI} --processes 2",
    "uwsgi-threads": f"{BIN}/uwsgi {UWSGI} --enable-threads --threads 4",
}
# Without a master, ours, with a fork of the application, and with its own processes.
ALWAYS = ("bottle", "own-host", "gunicorn-preload", "uwsgi-processes")
# The process is held meanwhile, so a request that waited for it would take far longer;
# the margin is for a busy machine.
AT_ONCE_S = 60.0
# The server is its only worker, so killing the worker ends the server.
SINGLE = {"bottle", "waitress"}


class WebServer:
    """A web server and an HTTP client for it."""

    def __init__(self, kind: str, settings: Settings) -> None:
        self._port = free_port()
        self._log = settings.run_dir / "host.log"
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, *HOSTS[kind].format(port=self._port).split()],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **dispatching_app.environment(settings)},
            )

    def send(self, chat_id: int) -> dict[str, Any]:
        """Post a message as soon as the server answers."""
        return until(lambda: self._try_to_send(chat_id))

    def _try_to_send(self, chat_id: int) -> dict[str, Any] | None:
        assert self.process.poll() is None, "the host has ended"
        connection = HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            connection.request("POST", f"/send/{chat_id}")
            started = time.monotonic()
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, (self._log.read_text(), body)
            answer = json.loads(body)
            return {**answer, "took_s": time.monotonic() - started}
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    def stop(self) -> float:
        """Send SIGTERM, and wait for the end; returns the seconds it took."""
        started = time.monotonic()
        self.process.terminate()
        self.process.wait(120)
        return time.monotonic() - started


@contextmanager
def _serving(kind: str, settings: Settings) -> Iterator[WebServer]:
    server = WebServer(kind, settings)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(params=some_of(HOSTS, ALWAYS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path) as store:
        yield store


@pytest.fixture
def settings(store: Datastore, tmp_path: Path) -> Iterator[Settings]:
    yield Settings(
        database_url=f"sqlite:///{tmp_path}/test.db",
        run_dir=tmp_path,
        service_key="a key nobody needs here",
        push_slots=1,
        push_linger_s=0.1,
        lease_s=600.0,
    )
    push_processes.end_all(tmp_path)


class Work:
    """A job that its PushProcess holds until it is released."""

    def __init__(self, settings: Settings, store: Datastore) -> None:
        self._directory = settings.run_dir
        self._store = store
        self._chat_id = make_chat(store, 1)
        self.pid = 0

    def begin(self, server: WebServer) -> dict[str, Any]:
        (self._directory / "hold").touch()
        answer = server.send(self._chat_id)
        self.job_id = answer["job"]
        until(self._is_processing)
        (self.pid,) = owners(self._directory)
        return answer

    def release(self) -> int:
        """Release the job; returns the id of the process that pushed it."""
        (self._directory / "hold").unlink()
        return until(lambda: dict(pushed(self._directory)).get(self.job_id))

    def _is_processing(self) -> bool:
        with self._store.read() as session:
            return session.get_one(PushJob, self.job_id).state == PROCESSING


def test_a_push_process_gets_along_with_its_host(
    kind: str, settings: Settings, store: Datastore
) -> None:
    work = Work(settings, store)
    with _serving(kind, settings) as server:
        _check_an_ordinary_message(work, server)
        _check_a_killed_worker(work, server)
        if kind not in SINGLE:
            _check_the_end_of_the_host(work, server)
            return
        server.process.wait(60)
    with _serving(kind, settings) as server:
        _check_the_end_of_the_host(work, server)


def _check_an_ordinary_message(work: Work, server: WebServer) -> None:
    answer = work.begin(server)
    held = push_processes.sockets(work.pid)

    assert answer["took_s"] < AT_ONCE_S
    assert answer["sockets"]
    assert set(answer["sockets"]) & set(held) == set()
    assert work.release() == work.pid
    until(lambda: is_gone(work.pid), what="for the process, or its zombie, to go")


def _check_a_killed_worker(work: Work, server: WebServer) -> None:
    answer = work.begin(server)
    # A worker that serves only one request may have ended already.
    push_processes.kill(answer["pid"])

    assert is_alive(work.pid)
    assert work.release() == work.pid


def _check_the_end_of_the_host(work: Work, server: WebServer) -> None:
    work.begin(server)

    took_s = server.stop()

    assert took_s < AT_ONCE_S
    assert is_alive(work.pid)
    assert work.release() == work.pid
