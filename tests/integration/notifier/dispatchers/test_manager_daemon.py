"""The manager's daemon: it runs once, and only it is signalled by its pidfile."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import AuthenticationError
from multiprocessing.managers import BaseManager, RemoteError
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytest

import config
from datastore import Datastore, migrations
from notifier.dispatchers import manager, manager_wire
from notifier.dispatchers.manager import ManagerLink
from notifier.dispatchers.manager_wire import PushManager, address
from tests.support.push_processes import is_alive
from tests.support.server import INHERITED, ROOT, free_port
from tests.support.wait import until

KEY = "an authkey of the tests"


class ManagerDaemon:
    """`bottlepost worker manager …` with settings of its own."""

    def __init__(self, directory: Path) -> None:
        self.pidfile = directory / "manager.pid"
        self.environment = {
            "BOTTLEPOST_RUN_DIR": str(directory),
            "BOTTLEPOST_SERVICE_KEY": "x" * 16,
            "BOTTLEPOST_MANAGER_ADDRESS": f"127.0.0.1:{free_port()}",
            "BOTTLEPOST_MANAGER_AUTHKEY": KEY,
            "BOTTLEPOST_POOL_SIZE": "1",
        }
        self.settings = config.from_env(self.environment)
        migrations.upgrade(Datastore(self.settings.database_url))

    def call(self, action: str) -> tuple[int, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-m", "bottlepost", "worker", "manager", action],
            cwd=ROOT,
            env={**inherited, **self.environment},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def pid(self) -> int:
        return int(self.pidfile.read_text())


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ManagerDaemon]:
    daemon = ManagerDaemon(tmp_path)
    yield daemon
    daemon.call("stop")


def test_it_starts_once_and_stops(daemon: ManagerDaemon) -> None:
    started = daemon.call("start")
    pid = daemon.pid
    again = daemon.call("start")
    running = daemon.call("status")
    stopped = daemon.call("stop")

    assert started == (0, f"started, pid {pid}\n")
    assert again == (0, f"already running, pid {pid}\n")
    assert running == (0, f"running, pid {pid}\n")
    assert stopped == (0, "stopped\n")
    assert not is_alive(pid)
    assert daemon.call("status") == (3, "not running\n")


def test_a_killed_daemon_is_noticed_and_replaced(daemon: ManagerDaemon) -> None:
    daemon.call("start")
    killed = daemon.pid
    os.kill(killed, signal.SIGKILL)
    until(lambda: not is_alive(killed))

    status, _ = daemon.call("status")
    restarted, _ = daemon.call("restart")

    assert (status, restarted) == (1, 0)
    assert daemon.pid != killed


def test_a_stale_pidfile_kills_no_process(daemon: ManagerDaemon) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as stranger:
        daemon.pidfile.write_text(f"{stranger.pid}\n")

        stopped, _ = daemon.call("stop")

        assert stopped == 0
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_a_new_link_works_after_a_restart(daemon: ManagerDaemon) -> None:
    daemon.call("start")
    first = ManagerLink(daemon.settings)
    first.send([1])

    daemon.call("restart")

    with pytest.raises((OSError, EOFError)):
        first.send([2])
    first.close()
    ManagerLink(daemon.settings).send([3])


def test_a_web_worker_is_told_which_settings_the_manager_has_not(
    daemon: ManagerDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.call("start")
    same, changes = daemon.settings, {"push_preview": "none", "apns_topic": "org.other"}

    ManagerLink(same)
    said_of_same = caplog.text
    ManagerLink(replace(same, **changes))

    assert said_of_same == ""
    assert "BOTTLEPOST_PUSH_PREVIEW, BOTTLEPOST_APNS_TOPIC; restart it" in caplog.text
    assert "settings" in (daemon.settings.run_dir / "manager.log").read_text()


def test_a_new_web_worker_says_so_at_its_start(
    daemon: ManagerDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.call("start")
    dispatcher = manager.create(replace(daemon.settings, push_preview="none"))

    dispatcher.start()

    until(lambda: "BOTTLEPOST_PUSH_PREVIEW; restart it" in caplog.text)
    dispatcher.close()


def test_a_manager_of_an_older_version_is_named_as_one(
    daemon: ManagerDaemon,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manager_wire.WakeProxy, "_exposed_", ("ring",))
    monkeypatch.delattr(manager_wire._WakeHandler, "fingerprints")
    server = manager_wire.PushServer(daemon.settings, lambda _: None)
    older = multiprocessing.get_context("fork").Process(target=server.serve_forever)
    older.start()

    link = ManagerLink(daemon.settings)
    link.send([7])
    link.close()
    older.kill()
    older.join(60)

    assert "differ from ours: its version is older" in caplog.text


def test_a_wrong_authkey_is_refused(daemon: ManagerDaemon) -> None:
    daemon.call("start")

    client = PushManager(address(daemon.settings), b"w" * 16, serializer="json")

    with pytest.raises(AuthenticationError):
        client.connect()


def test_pickle_is_refused_and_only_numbers_are_taken(daemon: ManagerDaemon) -> None:
    daemon.call("start")
    where = address(daemon.settings)

    with pytest.raises(UnpicklingError):
        BaseManager(where, KEY.encode()).connect()
    client: Any = PushManager(where, KEY.encode(), serializer="json")
    client.connect()
    proxy = client.bell()

    with pytest.raises(RemoteError):
        proxy._callmethod("ring", ("os.system",))
    with pytest.raises(RemoteError):
        proxy._callmethod("__class__")


def test_without_an_authkey_it_says_what_is_missing(daemon: ManagerDaemon) -> None:
    del daemon.environment["BOTTLEPOST_MANAGER_AUTHKEY"]

    status, said = daemon.call("start")

    assert status == 2
    assert said.count("\n") == 1
    assert "BOTTLEPOST_MANAGER_AUTHKEY is missing" in said
