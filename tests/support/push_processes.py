"""PushProcesses seen from outside, and one that stops where it is told to."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from config import Settings
from datastore import Datastore
from notifier.engine import BuildEngine
from notifier.process.push_process import PushProcess
from notifier.process.slots import Slot
from tests.support.host import socket_names
from tests.support.wait import until


def owners(run_dir: Path) -> list[int]:
    """Pids of those who signed a slot, alive or not."""
    signatures = [lock.read_text() for lock in run_dir.glob("push/slot-*.lock")]
    return [int(signature.split(":")[1]) for signature in signatures if signature]


def living(run_dir: Path) -> list[int]:
    """Those of them that are alive; a test may sign a slot with any name."""
    return list(filter(is_push_process, owners(run_dir)))


def state(pid: int) -> str | None:
    """R, S, T …: the letter that ps shows; None for a pid that is not in use."""
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
    """As a crash would, and wait until it is over."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), what="for a killed process")


def stop(pid: int) -> None:
    """Ask it to end, and wait until it has."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until(lambda: not is_alive(pid), what="for a process that was asked to end")


def end_all(run_dir: Path) -> None:
    """Kill what a test left behind, and wait until it is gone."""
    for pid in living(run_dir):
        kill(pid)


class PausingProcess(PushProcess):
    """Stops before a step of its life until `go` is called.

    Steps in order: listen, hang_up, give_up, last_look, leave.
    """

    def __init__(self, settings: Settings, build: BuildEngine, step: str) -> None:
        super().__init__(settings, build)
        self._step = step
        self._directory = settings.run_dir

    def wait_until_there(self) -> None:
        until((self._directory / f"at-{self._step}").exists)

    def go(self) -> None:
        (self._directory / f"go-{self._step}").touch()

    def _listen(self, slot: Slot):
        self._pause("listen")
        return super()._listen(slot)

    def _stop_listening(self, slot: Slot) -> None:
        self._pause("hang_up")
        super()._stop_listening(slot)

    def _give_up(self, slot: Slot) -> None:
        self._pause("give_up")
        super()._give_up(slot)

    def _sees_work(self, store: Datastore) -> bool:
        self._pause("last_look")
        sees = super()._sees_work(store)
        self._pause("leave")
        return sees

    def _pause(self, step: str) -> None:
        # Each once: a process may go through its steps again.
        if step == self._step and not (self._directory / f"at-{step}").exists():
            (self._directory / f"at-{step}").touch()
            until((self._directory / f"go-{step}").exists)
