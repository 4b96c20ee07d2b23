"""Lock files: one holder, also across forks and killed holders."""

import os
import signal
import threading
from pathlib import Path

from datastore.file_lock import LockFile
from datastore.write_turn import BoundedLock
from notifier.process.slots import Slots
from tests.support.wait import until
from tests.support.write_turns import held


def _fork_waiting() -> int:
    """A child that does nothing until it is killed."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    return pid


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _is_free(path: Path) -> bool:
    other = LockFile(path)
    is_free = other.try_lock()
    other.close()
    return is_free


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    first, second = LockFile(tmp_path / "lock"), LockFile(tmp_path / "lock")

    taken = [first.try_lock(), second.try_lock()]
    first.unlock()

    assert taken == [True, False]
    assert second.try_lock()
    first.close()
    second.close()


def test_a_child_forked_meanwhile_does_not_keep_a_lock(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "lock")
    lock.lock()
    child = _fork_waiting()
    try:
        held = _is_free(tmp_path / "lock")
        lock.close()
        later = _is_free(tmp_path / "lock")
    finally:
        _end(child)

    assert (held, later) == (False, True)


def test_a_child_does_not_keep_the_lock_of_a_parent_that_was_killed(
    tmp_path: Path,
) -> None:
    read_end, write_end = os.pipe()
    parent = os.fork()
    if parent == 0:
        LockFile(tmp_path / "lock").lock()
        os.write(write_end, b"%d\n" % _fork_waiting())
        while True:
            signal.pause()
    child = int(os.read(read_end, 20))
    try:
        held = _is_free(tmp_path / "lock")
        _end(parent)
        until(lambda: _is_free(tmp_path / "lock"))
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(read_end)
        os.close(write_end)

    assert not held


def test_forks_while_threads_open_locks_keep_none(tmp_path: Path) -> None:
    """A fork between the opening of a file and its registration would keep a copy."""
    stop = threading.Event()

    def lock_again_and_again() -> None:
        while not stop.is_set():
            lock = LockFile(tmp_path / "lock")
            lock.try_lock()
            lock.close()

    thread = threading.Thread(target=lock_again_and_again)
    thread.start()
    children = [_fork_waiting() for _ in range(100)]
    stop.set()
    thread.join()
    try:
        until(lambda: _is_free(tmp_path / "lock"))
        for child in children:
            links = [os.readlink(fd.path) for fd in os.scandir(f"/proc/{child}/fd")]
            assert str(tmp_path / "lock") not in links
    finally:
        for child in children:
            _end(child)


def test_a_child_uses_the_lock_of_sqlites_writers_for_itself(tmp_path: Path) -> None:
    writers = BoundedLock(str(tmp_path / "lock"))
    with held(writers):
        pass
    child = os.fork()
    if child == 0:
        writers.reset()
        with held(writers):
            while True:
                signal.pause()
    try:
        until(lambda: not _is_free(tmp_path / "lock"))
    finally:
        _end(child)
    with held(writers):
        assert not _is_free(tmp_path / "lock")
    writers.close()


def test_a_start_lock_is_free_after_a_fork_in_the_middle(tmp_path: Path) -> None:
    slots = Slots(tmp_path, 1)
    with slots.try_start_lock() as is_ours:
        child = _fork_waiting()
    try:
        with slots.try_start_lock() as is_ours_again:
            pass
    finally:
        _end(child)
        slots.close()

    assert (is_ours, is_ours_again) == (True, True)
