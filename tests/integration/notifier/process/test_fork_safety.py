"""A fork of the host waits for our threads, and its child starts its own."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config import Settings
from notifier.process import fork_safety
from notifier.process.per_process import PerProcess


class CountingPerProcess(PerProcess):
    """Records the processes in which it started and closed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.started: list[int] = []
        self.closed: list[int] = []

    def _on_start(self) -> None:
        self.started.append(os.getpid())

    def _on_close(self) -> None:
        self.closed.append(os.getpid())

    def _wake(self, job_id: int) -> None:
        raise AssertionError("there is no engine to wake")


def _in_a_fork(check) -> bool:
    """Whether `check` is true in a forked child."""
    # Python 3.12 warns about forks beside threads; these tests show that they are safe.
    pid = os.fork()
    if pid == 0:
        os._exit(0 if check(os.getpid()) else 1)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_waits_for_critical_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_safety, "LONGEST_WAIT_S", 20.0)
    inside, leave, events = threading.Event(), threading.Event(), []

    def work() -> None:
        with fork_safety.no_fork():
            inside.set()
            leave.wait(5)
            events.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(5)
    threading.Timer(0.2, leave.set).start()

    saw_it_done = _in_a_fork(lambda _: events == ["done"])
    thread.join()

    assert saw_it_done


# Forks while a thread logs all the time; each child writes a line of its own.
LOGS_AND_FORKS = """
import logging, os, signal, threading
from notifier.process import fork_safety

log = logging.getLogger("some thread")
def write():
    while True:
        log.error("the thread")

threading.Thread(target=write, daemon=True).start()
for _ in range(200):
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        log.error("the child")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
os._exit(0)
"""


@pytest.mark.parametrize("setup", ["", "logging.basicConfig()"])
def test_a_fork_waits_for_a_line_of_the_log(setup: str, tmp_path: Path) -> None:
    script = LOGS_AND_FORKS.replace("\nlog =", f"\n{setup}\nlog =")
    # The stream has a lock only if it has a buffer.
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    with open(tmp_path / "log", "wb") as stderr:
        command = [sys.executable, "-c", script]
        subprocess.run(command, check=True, stderr=stderr, env=environment, timeout=60)

    assert (tmp_path / "log").read_bytes().count(b"the child") == 200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_safety, "LONGEST_WAIT_S", 0.1)
    inside, leave = threading.Event(), threading.Event()

    def hang() -> None:
        with fork_safety.no_fork():
            inside.set()
            leave.wait(20)

    def can_go_on(_: int) -> bool:
        with fork_safety.no_fork():
            return True

    thread = threading.Thread(target=hang)
    thread.start()
    inside.wait(5)

    forked = _in_a_fork(can_go_on)
    leave.set()
    thread.join()

    assert forked


def test_critical_sections_may_nest() -> None:
    with fork_safety.no_fork(), fork_safety.no_fork():
        pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_started_dispatcher_starts_again_in_a_forked_child(make_settings) -> None:
    per_process = CountingPerProcess(make_settings())
    per_process.start()
    per_process.start()
    ours = os.getpid()

    starts_again = _in_a_fork(lambda pid: per_process.started == [ours, pid])

    assert starts_again
    assert per_process.started == [ours]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_unstarted_dispatcher_does_not_start_in_a_forked_child(
    make_settings,
) -> None:
    per_process = CountingPerProcess(make_settings())

    assert _in_a_fork(lambda _: per_process.started == [])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_closes_only_what_it_started(make_settings) -> None:
    per_process = CountingPerProcess(make_settings())
    per_process.start()

    def closes_its_own(pid: int) -> bool:
        per_process.close()
        return per_process.closed == [pid]

    assert _in_a_fork(closes_its_own)
    assert per_process.closed == []
