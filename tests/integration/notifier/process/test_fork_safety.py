"""A fork of the host waits for our threads, and its child begins anew."""

import os
import threading

import pytest

from notifier.process import fork_safety
from notifier.process.per_process import PerProcess


class Counting(PerProcess):
    """Remembers in which processes it began and ended."""

    def __init__(self) -> None:
        super().__init__()
        self.began: list[int] = []
        self.ended: list[int] = []

    def _begin(self) -> None:
        self.began.append(os.getpid())

    def _end(self) -> None:
        self.ended.append(os.getpid())


def _in_a_fork(check) -> bool:
    """Whether `check` is true in a forked child."""
    # Python 3.12 warns of forks beside threads; that they are safe is the point here.
    pid = os.fork()
    if pid == 0:
        os._exit(0 if check(os.getpid()) else 1)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_waits_for_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_safety, "LONGEST_WAIT_S", 20.0)
    inside, leave, events = threading.Event(), threading.Event(), []

    def work() -> None:
        with fork_safety.keep_out():
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_is_not_held_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_safety, "LONGEST_WAIT_S", 0.1)
    inside, leave = threading.Event(), threading.Event()

    def hang() -> None:
        with fork_safety.keep_out():
            inside.set()
            leave.wait(20)

    def can_go_on(_: int) -> bool:
        with fork_safety.keep_out():
            return True

    thread = threading.Thread(target=hang)
    thread.start()
    inside.wait(5)

    forked = _in_a_fork(can_go_on)
    leave.set()
    thread.join()

    assert forked


def test_many_may_be_under_way_at_once() -> None:
    with fork_safety.keep_out(), fork_safety.keep_out():
        pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_began_begins_again_in_a_forked_child() -> None:
    per_process = Counting()
    per_process.start()
    per_process.start()
    ours = os.getpid()

    begins_anew = _in_a_fork(lambda pid: per_process.began == [ours, pid])

    assert begins_anew
    assert per_process.began == [ours]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_did_not_begin_does_not_begin_in_a_forked_child() -> None:
    per_process = Counting()

    assert _in_a_fork(lambda _: per_process.began == [])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_ends_only_what_it_began() -> None:
    per_process = Counting()
    per_process.start()

    def ends_its_own(pid: int) -> bool:
        per_process.close()
        return per_process.ended == [pid]

    assert _in_a_fork(ends_its_own)
    assert per_process.ended == []
