"""The manager's daemon: it runs once, and only it is signalled by its pidfile."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from multiprocessing.managers import BaseManager, RemoteError
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytest

import config
from datastore import Datastore, migrations
from notifier.dispatchers.manager import ManagerLink
from notifier.dispatchers.manager_wire import PushManager, address
from tests.support.push_processes import is_alive
from tests.support.server import INHERITED, ROOT, free_port
from tests.support.wait import until

KEY = "an authkey of the tests"


class ManagerDaemon:
    """`python -m notifier manager …` with settings of its own."""

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
            [sys.executable, "-m", "notifier", "manager", action],
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


def test_a_wrong_authkey_is_refused(daemon: ManagerDaemon) -> None:
    daemon.call("start")

    manager = PushManager(address(daemon.settings), b"w" * 16, serializer="json")

    with pytest.raises(AuthenticationError):
        manager.connect()


def test_pickle_is_refused_and_only_numbers_are_taken(daemon: ManagerDaemon) -> None:
    daemon.call("start")
    where = address(daemon.settings)

    with pytest.raises(UnpicklingError):
        BaseManager(where, KEY.encode()).connect()
    manager: Any = PushManager(where, KEY.encode(), serializer="json")
    manager.connect()
    proxy = manager.bell()

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
