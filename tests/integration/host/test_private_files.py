"""What is in the run directory is for its owner only, whatever was there before."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import run_directory
from datastore import Datastore, migrations
from tests.support import push_processes, sandbox
from tests.support.dispatcher_host import GUNICORN, UWSGI
from tests.support.matrix import some_of
from tests.support.paths import ROOT
from tests.support.push_processes import owners
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server, free_port
from tests.support.wait import until

# A host or a service manager may leave everything open.
OPEN = ("bash", "-c", 'umask 0; exec "$@"', "-")
HOSTS = {
    "own": (*OPEN, sys.executable, "server.py"),
    "gunicorn": (*OPEN, *GUNICORN.split()),
    "uwsgi": (*OPEN, *UWSGI.split()),
}
MANAGER = {
    "BOTTLEPOST_DISPATCHER": "manager",
    "BOTTLEPOST_MANAGER_AUTHKEY": "a secret of the tests",
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that existed before, and is open to all; for sockets, it is short."""
    directory = tmp_path_factory.mktemp("run")
    directory.chmod(0o755)
    return directory


def migrate(run_dir: Path) -> None:
    store = Datastore(f"sqlite:///{run_dir}/bottlepost.db")
    migrations.upgrade(store)
    store.close()


def open_to_others(run_dir: Path) -> list[str]:
    """Our files that others may read or enter; the tests' own log is not ours."""
    return [
        f"{path.relative_to(run_dir)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in run_dir.rglob("*")
        if path.lstat().st_mode & 0o077 and not path.name.startswith("server-")
    ]


def loosen(run_dir: Path) -> None:
    """As an older version may have left them."""
    for path in run_dir.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def umask_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 8) for line in lines if line[:6] == "Umask:")


def work(server: Server, run_dir: Path, provider: Sandbox) -> list[int]:
    """Have something pushed; returns the ids of the PushProcesses."""
    system = RunningSystem(run_dir, server, provider)
    conversation = system.conversation(2)
    system.wait_until_ended(conversation, conversation.post())
    system.store.close()
    return owners(run_dir)


@pytest.mark.parametrize("host", some_of(HOSTS, ["own", "uwsgi"]))
def test_nothing_is_open_to_others(run_dir: Path, provider: Sandbox, host: str) -> None:
    environment = {**provider.environment, **FAST}
    if host != "own":
        migrate(run_dir)
    for _ in range(2):
        with Server(run_dir, environment, HOSTS[host]) as server:
            engines = work(server, run_dir, provider)

            assert open_to_others(run_dir) == []
            assert engines
            assert [umask_of(pid) for pid in engines] == [0o077] * len(engines)
            told = [line for line in server.log().splitlines() if "chmod 700" in line]
            assert len(told) == 1
            assert f"{run_dir} is open to other users (mode 755)" in told[0]
        push_processes.end_all(run_dir)
        loosen(run_dir)


def test_every_process_of_the_server_has_the_umask(tmp_path: Path) -> None:
    with Server(tmp_path, command=HOSTS["own"]) as server:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
        pids = [server.pid, *map(int, children.split())]

        assert len(pids) == 3
        assert [umask_of(pid) for pid in pids] == [0o077] * 3
        # The directory of this test is private.
        assert "BOTTLEPOST_RUN_DIR" not in server.log()


def test_the_host_keeps_its_own_umask(tmp_path: Path) -> None:
    migrate(tmp_path)
    with Server(tmp_path, command=HOSTS["gunicorn"]) as server:
        assert umask_of(server.workers()[0]) == 0


@pytest.fixture
def environment(run_dir: Path) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME")},
        **MANAGER,
        "PYTHONPATH": str(ROOT),
        "BOTTLEPOST_RUN_DIR": str(run_dir),
        "BOTTLEPOST_SERVICE_KEY": "a key nobody needs here",
        "BOTTLEPOST_MANAGER_ADDRESS": f"127.0.0.1:{free_port()}",
    }


def call(environment: dict[str, str], *arguments: str) -> int:
    """The status of a command."""
    return subprocess.run(
        [*OPEN, sys.executable, "-m", "bottlepost", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=120,
    ).returncode


def test_commands_and_the_manager_leave_nothing_open(
    run_dir: Path, environment: dict[str, str]
) -> None:
    assert call(environment, "migrate") == 0
    assert call(environment, "prune", "--days", "30") == 0
    assert call(environment, "worker", "manager", "start") == 0
    try:
        pid = int((run_dir / "manager.pid").read_text())

        assert open_to_others(run_dir) == []
        assert umask_of(pid) == 0o077
        assert "run chmod 700" in (run_dir / "manager.log").read_text()
    finally:
        assert call(environment, "worker", "manager", "stop") == 0


def test_a_polling_worker_has_the_umask(
    run_dir: Path, environment: dict[str, str]
) -> None:
    migrate(run_dir)
    worker = subprocess.Popen(
        [*OPEN, sys.executable, "-m", "bottlepost", "worker", "polling"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    try:
        until(lambda: list_locks(run_dir))

        assert umask_of(worker.pid) == 0o077
        assert open_to_others(run_dir) == []
    finally:
        worker.terminate()
        worker.wait(60)


def list_locks(run_dir: Path) -> list[Path]:
    return list((run_dir / "workers").rglob("*.lock"))


def test_what_is_not_ours_keeps_its_mode(run_dir: Path, tmp_path: Path) -> None:
    foreign = run_dir / "notes.txt"
    foreign.write_text("of the operator")
    foreign.chmod(0o644)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("behind a link")
    elsewhere.chmod(0o644)
    (run_dir / "vapid.pem").symlink_to(elsewhere)

    run_directory.tighten(run_dir)

    assert stat.S_IMODE(foreign.stat().st_mode) == 0o644
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_directory_of_another_user_is_told(run_dir: Path) -> None:
    os.chown(run_dir, 65534, 65534)

    told = run_directory.warning(run_dir) or ""

    assert "belongs to another user (uid 65534)" in told
    assert f"chown 0 {run_dir}" in told
