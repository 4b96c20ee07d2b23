"""Hosts that are started before the tables are there, or on an unfit database."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from datastore import Datastore, migrations
from tests.support import databases, push_processes, sandbox
from tests.support.dispatcher_host import GUNICORN, UWSGI
from tests.support.matrix import some_of
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import ROOT, Server
from tests.support.wait import until

REASON = "The schema is missing: run `bottlepost migrate`"
GRANIAN = (
    f"{sys.executable} -m granian --interface wsgi --blocking-threads 4 --port {{port}}"
    " --factory server:create_app"
)
HOSTS = {
    "gunicorn": GUNICORN.replace("--preload ", ""),
    "gunicorn-preload": GUNICORN,
    "uwsgi": UWSGI,
    "uwsgi-lazy": UWSGI.replace("--need-app", "--need-app --lazy-apps"),
    "granian": GRANIAN,
    "waitress": (
        f"{sys.executable} -m waitress --listen 127.0.0.1:{{port}}"
        " --call server:create_app"
    ),
    # Under our own host, only this setting leaves the schema as it is.
    "own": f"{sys.executable} -m bottlepost serve",
}
# Each host once, and a second database with the one that forks the application.
CASES = [*((host, "sqlite") for host in HOSTS), ("gunicorn-preload", "postgresql")]

MIGRATING = [*((host, "sqlite") for host in HOSTS), ("gunicorn", "postgresql")]


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def readiness(server: Server) -> tuple[int, str | None] | None:
    with suppress(OSError, HTTPException):
        reply = server.client.get("/readyz")
        return reply.status, reply.json.get("error", {}).get("message")
    return None


@pytest.mark.parametrize(
    ("host", "kind"),
    some_of(CASES, [("uwsgi", "sqlite"), ("gunicorn-preload", "postgresql")]),
)
def test_it_waits_for_the_migration_and_then_works(
    tmp_path: Path, provider: Sandbox, host: str, kind: str
) -> None:
    url = databases.empty_url(kind, tmp_path)
    (tmp_path / "kinds.json").write_text('{"call": {}}')
    environment = {
        **provider.environment,
        **FAST,
        "BOTTLEPOST_DATABASE_URL": url,
        "BOTTLEPOST_MIGRATE": "check",
        "BOTTLEPOST_KINDS_FILE": str(tmp_path / "kinds.json"),
    }
    with Server(tmp_path, environment, HOSTS[host].split(), wait=False) as server:
        assert until(lambda: readiness(server), 60) == (503, REASON)
        assert server.log().count(f".starting_database: {REASON}") == 1
        refused = server.client.post("/users", {"name": "Ann"})
        assert (refused.status, refused.code) == (503, "unavailable")

        store = Datastore(url)
        migrations.upgrade(store)
        store.close()

        assert readiness(server) == (200, None)
        assert server.client.get("/kinds/call").json["from_file"]
        system = RunningSystem(tmp_path, server, provider)
        conversation = system.conversation(3)
        job = system.wait_until_ended(conversation, conversation.post())
        assert job["state"] == "completed"
        assert system.pushed(conversation) == dict.fromkeys(conversation.tokens, 1)
        assert "Traceback" not in server.log()
        push_processes.end_all(tmp_path)
        system.store.close()


@pytest.mark.parametrize(
    ("host", "kind"),
    some_of(MIGRATING, [("uwsgi", "sqlite"), ("gunicorn", "postgresql")]),
)
def test_it_migrates_by_itself(tmp_path: Path, host: str, kind: str) -> None:
    """Each of two workers builds an application of its own under some hosts."""
    url = databases.empty_url(kind, tmp_path)
    environment = {"BOTTLEPOST_DATABASE_URL": url}
    if kind != "sqlite":
        environment["BOTTLEPOST_MIGRATE"] = "auto"
    two = {"gunicorn": " --workers 2", "uwsgi-lazy": " --processes 2"}
    command = HOSTS[host] + two.get(host, "")

    with Server(tmp_path, environment, command.split()) as server:
        assert server.client.post("/users", {"name": "Ann"}).status == 201
        assert "run `bottlepost migrate`" not in server.log()
        assert "Traceback" not in server.log()
    push_processes.end_all(tmp_path)


@pytest.mark.parametrize("host", some_of(HOSTS, ["uwsgi", "gunicorn-preload"]))
@pytest.mark.parametrize("problem", ["database", "settings"])
def test_it_ends_with_one_line(tmp_path: Path, host: str, problem: str) -> None:
    (tmp_path / "x.db").write_text("This is a letter, and not a database.\n" * 20)
    url = (
        f"sqlite:///{tmp_path}/x.db" if problem == "database" else "oracle://me:SeC@db"
    )
    environment = {"BOTTLEPOST_DATABASE_URL": url}

    with Server(tmp_path, environment, HOSTS[host].split(), wait=False) as server:
        status = server.process.wait(60)

    assert status not in (0, -9)
    ours = [line for line in server.log().splitlines() if "bottlepost: " in line]
    assert len(ours) == 1, server.log()
    assert ours[0].startswith("bottlepost: BOTTLEPOST_DATABASE_URL ")
    assert "Traceback" not in server.log()
    assert "SeC" not in server.log()


WORKERS = ["polling", "rq", "celery", "manager run"]


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_waits_and_says_so_once(tmp_path: Path, worker: str) -> None:
    url = databases.empty_url("sqlite", tmp_path)
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bottlepost", "worker", *worker.split()],
            cwd=ROOT,
            env={
                **os.environ,
                "BOTTLEPOST_DATABASE_URL": url,
                "BOTTLEPOST_RUN_DIR": str(tmp_path),
                "BOTTLEPOST_SERVICE_KEY": "k" * 16,
                "BOTTLEPOST_MANAGER_AUTHKEY": "the tests' own authkey",
            },
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: REASON in log.read_text(), 60, what="for the worker to say it")
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(60)
    text = log.read_text()
    assert text.count(REASON) == 1
    assert "Traceback" not in text
