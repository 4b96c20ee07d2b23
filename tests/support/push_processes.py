"""Finds, watches and kills PushProcesses; and one that pauses at a chosen step."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from config import Settings
from datastore import Datastore
from notifier.engine import BuildEngine
from notifier.process.push_process import PushProcess
from notifier.process.slots import Slot
from tests.support.wait import until
from tests.support.web_worker import socket_names


def owners(run_dir: Path) -> list[int]:
    """Pids of the recorded owners of slots, alive or not."""
    recorded = [lock.read_text() for lock in run_dir.glob("push/slot-*.lock")]
    return [int(owner.split(":")[1]) for owner in recorded if owner]


def living(run_dir: Path) -> list[int]:
    """The owners that are alive; a test may record any name as an owner."""
    return list(filter(is_push_process, owners(run_dir)))


def state(pid: int) -> str | None:
    """The letter that ps shows (R, S, T …); None for an unused pid."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0]
    return None


def is_alive(pid: int) -> bool:
    return state(pid) not in (None, "Z")


def sockets(pid: int) -> list[str]:
    return [name for name in socket_names(pid) if name.startswith("socket:")]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[1])


def is_gone(pid: int) -> bool:
    """Neither running nor a zombie."""
    return not Path(f"/proc/{pid}").exists()


def is_push_process(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text() == "push-process\n"
    return False


def kill(pid: int) -> None:
    """SIGKILL a process, and wait until it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), what="for a killed process")


def stop(pid: int) -> None:
    """SIGTERM a process, and wait until it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until(lambda: not is_alive(pid), what="for a process that was asked to end")


def end_all(run_dir: Path) -> None:
    """Kill the PushProcesses that a test left, and wait until they have ended."""
    for pid in living(run_dir):
        kill(pid)


class PausingProcess(PushProcess):
    """Pauses before one of its steps until `go` is called.

    Steps in order: open_socket, close_socket, release, last_look, exit.
    """

    def __init__(self, settings: Settings, build: BuildEngine, step: str) -> None:
        super().__init__(settings, build)
        self._step = step
        self._directory = settings.run_dir

    def wait_until_there(self) -> None:
        until((self._directory / f"at-{self._step}").exists)

    def go(self) -> None:
        (self._directory / f"go-{self._step}").touch()

    def _open_socket(self, slot: Slot):
        self._pause("open_socket")
        return super()._open_socket(slot)

    def _close_socket(self, slot: Slot) -> None:
        self._pause("close_socket")
        super()._close_socket(slot)

    def _release(self, slot: Slot) -> None:
        self._pause("release")
        super()._release(slot)

    def _is_work_due(self, store: Datastore) -> bool:
        self._pause("last_look")
        is_due = super()._is_work_due(store)
        self._pause("exit")
        return is_due

    def _pause(self, step: str) -> None:
        # Each once: a process may go through its steps again.
        if step == self._step and not (self._directory / f"at-{step}").exists():
            (self._directory / f"at-{step}").touch()
            until((self._directory / f"go-{step}").exists)
