"""What differs on macOS, tried by taking away what it lacks."""

import errno
import importlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import platform
from notifier.process import redis_options
from notifier.process.bell import Bell, ring
from notifier.process.slots import Slots, WakeResult
from tests.support.paths import ROOT

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["linux", "macos"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """This system, and this system without what macOS lacks."""
    kind: str = request.param
    if kind == "macos":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
        monkeypatch.delattr(signal, "pidfd_send_signal", raising=False)
        monkeypatch.setattr(platform, "PROCESSES", Path("/no/such/directory"))
        for name in ("TCP_KEEPIDLE", "TCP_USER_TIMEOUT"):
            monkeypatch.delattr(socket, name, raising=False)
    return kind


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock"
    path.touch()
    return path


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLD, str(lock)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.mark.usefixtures("system")
def test_holder_of_a_lock_is_told_from_others(
    lock: Path, holder: subprocess.Popen[bytes]
) -> None:
    assert platform.holds_lock(holder.pid, lock)

    holder.kill()
    holder.wait()

    assert not platform.holds_lock(holder.pid, lock)
    assert not platform.holds_lock(holder.pid, lock.with_name("missing"))


@pytest.mark.usefixtures("system")
def test_signal_reaches_the_process_and_its_end_is_awaited(
    lock: Path, holder: subprocess.Popen[bytes]
) -> None:
    def is_it() -> bool:
        return holder.poll() is None and platform.holds_lock(holder.pid, lock)

    sent = platform.send_signal(holder.pid, signal.SIGTERM, is_it, wait_s=20)

    assert sent
    assert holder.wait(5) == -signal.SIGTERM
    assert not platform.send_signal(holder.pid, signal.SIGTERM, is_it)


@pytest.mark.usefixtures("system")
def test_another_process_with_the_pid_gets_no_signal(
    holder: subprocess.Popen[bytes],
) -> None:
    sent = platform.send_signal(holder.pid, signal.SIGKILL, lambda: False)

    assert not sent
    assert holder.poll() is None


def test_time_of_a_start_tells_processes_apart(system: str) -> None:
    started = platform.started_at(os.getpid())

    assert (started == "0") == (system == "macos")


@pytest.mark.usefixtures("system")
def test_process_without_a_name_goes_on() -> None:
    platform.name_process(Path("/proc/self/comm").read_text().strip())


def test_options_that_the_system_lacks_are_left_out(system: str) -> None:
    # On macOS the import of a constant that is missing would end the worker.
    options = importlib.reload(redis_options).options("redis://x", 5)

    given = options["socket_keepalive_options"]
    assert socket.TCP_KEEPCNT in given
    assert len(given) == (4 if system == "linux" else 2)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
def test_full_queue_is_known_by_its_error(number: int) -> None:
    assert platform.is_queue_full(OSError(number, "full"))
    assert not platform.is_queue_full(OSError(errno.EACCES, "denied"))


def test_no_other_file_asks_on_which_system_it_is() -> None:
    known = {"config/platform.py", "host/sockets.py"}
    asks = re.compile(
        r"sys\.platform|[\"']/proc|pidfd|(has|get)attr\((os|socket|signal),"
    )
    sources = [
        path
        for folder in ROOT.glob("*/__init__.py")
        if folder.parent.name not in ("tests", "benchmarks")
        for path in folder.parent.rglob("*.py")
    ]

    asking = {
        str(path.relative_to(ROOT))
        for path in (*sources, ROOT / "server.py")
        if asks.search(path.read_text())
    }

    assert asking == known


class FullOnMacOs:
    """A socket whose receiver has a full queue, as macOS tells it."""

    def sendto(self, *_: object) -> int:
        raise OSError(errno.ENOBUFS, "No buffer space available")

    def __enter__(self) -> "FullOnMacOs":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass


def test_full_slots_are_busy_on_macos_too(tmp_path: Path) -> None:
    slots = Slots(tmp_path, 2)
    slots._sender.close()
    slots._sender = FullOnMacOs()  # type: ignore[assignment]

    assert slots.wake(7) is WakeResult.BUSY
    slots.wake_all()


def test_full_bell_has_been_rung_on_macos_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell = Bell(tmp_path)
    bell.open(9)
    monkeypatch.setattr("notifier.process.bell._sender", FullOnMacOs)

    assert ring(tmp_path, above=8)
    monkeypatch.undo()
    bell.close()


def test_path_too_long_for_macos_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "push/slot-2-ffffffff.sock"
    run_dir = tmp_path / ("x" * (107 - len(f"{tmp_path}//{name}")))
    Slots(run_dir, 2).close()
    monkeypatch.setattr(platform, "LONGEST_SOCKET_PATH", 103)

    with pytest.raises(Exception, match="BOTTLEPOST_RUN_DIR is 4 bytes too long"):
        Slots(run_dir, 2)


def test_bells_fit_wherever_the_slots_do(tmp_path: Path) -> None:
    """Their names are longer than those of a few slots."""
    longest = len("settings/ffffffff-4194304.sock")
    run_dir = tmp_path / ("x" * (107 - len(f"{tmp_path}//") - longest))
    Slots(run_dir, 1, number=lambda: 1).close()

    with pytest.raises(Exception, match="1 bytes too long"):
        Slots(run_dir.with_name(f"{run_dir.name}x"), 1, number=lambda: 1)


def test_limit_of_files_that_the_kernel_refuses_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    infinite = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, infinite))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    assert platform.raise_file_limit(4096) == 256
    monkeypatch.setattr(resource, "getrlimit", lambda _: (infinite, infinite))
    assert platform.raise_file_limit(4096) == 4096
