"""Memory: which processes there are, what they import, and what they share."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from datastore import Datastore
from notifier.process.push_process import PushProcess
from tests.support.fake_engine import FakeEngine, FakeEngines
from tests.support.paths import ROOT
from tests.support.push_processes import is_alive, parent
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox, running
from tests.support.server import Server
from tests.support.wait import until

# The web server's, the migrations', and those of databases that are not in use.
NOT_FOR_PUSHES = {
    "alembic",
    "bottle",
    "granian",
    "hyper",
    "mako",
    "prometheus_client",
    "pydantic",
    "sqlalchemy.dialects.mysql",
}
# The migrations' and those of the engine.
NOT_FOR_ANSWERS = {
    "aiosmtplib",
    "alembic",
    "apns2",
    "hpack",
    "mako",
    "pyfcm",
    "requests",
    "sqlalchemy.dialects.mysql",
}


# On a busy machine the watchdog might start a second PushProcess.
ONE = {**FAST, "BOTTLEPOST_PUSH_SLOTS": "1"}


class ImportsRecorder(FakeEngines):
    """Writes down which modules its process has imported."""

    def __call__(self, settings: Settings, **more: Any) -> FakeEngine:
        (settings.run_dir / "imports").write_text("\n".join(sys.modules))
        return super().__call__(settings, **more)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    with running(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


def test_push_process_has_imported_nothing_that_it_does_not_need(
    store: Datastore, make_settings
) -> None:
    settings = make_settings(push_linger_s=0.0)
    process = PushProcess(settings, ImportsRecorder())

    process.start()
    process.join(60)

    imported = set((settings.run_dir / "imports").read_text().split())
    assert "notifier.engine.loop" in imported
    assert imported & NOT_FOR_PUSHES == set()


def test_web_server_has_imported_nothing_of_the_engine() -> None:
    script = "import sys, server, notifier.dispatchers.process; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        cwd=ROOT,
        text=True,
        timeout=90,
    )

    imported = set(done.stdout.split())
    assert "api" in imported
    assert imported & NOT_FOR_ANSWERS == set()


def test_all_processes_of_our_host_are_forked_from_the_server(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    with Server(tmp_path, {**sandbox.environment, **ONE}) as server:
        system = RunningSystem(tmp_path, server, sandbox)
        push_process, fork_server = _push(system)

        assert parent(fork_server) == server.pid
        commands = [_command(pid) for pid in (push_process, fork_server, server.pid)]
        assert commands == [_command(server.pid)] * 3
        # No resource tracker, and no fork server beside the common one.
        (worker,) = server.workers()
        assert _children(worker) == []


def test_a_worker_replaces_the_dead_fork_server_of_the_host(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    with Server(tmp_path, {**sandbox.environment, **ONE}) as server:
        system = RunningSystem(tmp_path, server, sandbox)
        push_process, fork_server = _push(system)

        os.kill(fork_server, signal.SIGKILL)
        os.kill(push_process, signal.SIGKILL)

        _, new_fork_server = _push(system)
        (worker,) = server.workers()
        assert parent(new_fork_server) == worker


def test_the_fork_server_of_the_host_ends_with_the_host(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    with Server(tmp_path, {**sandbox.environment, **ONE}) as server:
        system = RunningSystem(tmp_path, server, sandbox)
        push_process, fork_server = _push(system)

        server.stop()

        # Not yet: it is the parent of a PushProcess.
        assert parent(push_process) == fork_server
        os.kill(push_process, signal.SIGTERM)
        until(lambda: not is_alive(fork_server), what="for the fork server's end")


def _push(system: RunningSystem) -> tuple[int, int]:
    """Have a message pushed; the pids of a PushProcess and its fork server."""
    conversation = system.conversation(1)
    posted = conversation.post()
    system.wait_until_ended(conversation, posted)
    # A killed one stays a zombie where no process reaps orphans.
    push_process = until(lambda: [*filter(is_alive, system.push_processes())])[0]
    return push_process, parent(push_process)


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
