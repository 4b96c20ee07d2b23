"""Processes with a warm engine each, behind a multiprocessing.Pool."""

import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing import util
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.pool import Pool
from pathlib import Path
from types import FrameType
from typing import Any

from config import Settings
from notifier.process import engine_thread, fork_server

# A pool that is closed, such as with its web worker, does not wait longer.
STOP_S = 2.0


class EnginePool:
    """A pool of `pool_size` processes; each makes its engine at its first news."""

    def __init__(self, settings: Settings) -> None:
        self._pool = Pool(
            settings.pool_size, _begin, (settings,), context=_Context(settings.run_dir)
        )

    def send(self, job_ids: Sequence[int]) -> None:
        """Wake as many engines as there is news; returns at once."""
        for job_id in job_ids:
            self._pool.apply_async(_wake, (job_id,))

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()


_settings: Settings


def _begin(settings: Settings) -> None:
    """First thing in a process of the pool."""
    global _settings  # noqa: PLW0603 - a pool's initializer has no other place
    _settings = settings
    signal.signal(signal.SIGTERM, _leave)
    # The terminal's Ctrl-C is for the host, which then ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    util.Finalize(None, _stop, exitpriority=10)


def _wake(_job_id: int) -> None:
    engine_thread.shared(_settings).wake()


def _stop() -> None:
    engine_thread.shared(_settings).stop(STOP_S)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


class _Process(ForkServerProcess):
    """One that any host may start, with or without a guard around its `__main__`.

    A daemonic host may, too, as granian's workers are.
    """

    _Popen = staticmethod(fork_server.Popen)

    def start(self) -> None:
        # What Process.start does, without its refusal and without `_children`: the
        # pool itself ends them.
        process: Any = self
        process._popen = process._Popen(self)
        process._sentinel = process._popen.sentinel
        # As there: they hold references to the queues.
        del process._target, process._args, process._kwargs


class _Context(ForkServerContext):
    """Forkserver, with locks for the pool's queues that do not outlive their holder."""

    Process = _Process

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self._directory = run_dir / "pool"
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._locks = 0

    def Lock(self) -> Any:
        self._locks += 1
        name = f"{os.getpid()}-{id(self)}-{self._locks}.lock"
        return _FileLock(self._directory / name)


class _FileLock:
    """Let go of by the kernel when its holder is killed.

    An idle process of a pool waits with the queue's lock in its hand; with a semaphore
    for a lock, killing that process would stop the pool for good.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        path.touch(0o600)
        util.Finalize(self, path.unlink, (True,))

    def __getstate__(self) -> Path:
        return self._path

    def __setstate__(self, path: Path) -> None:
        self._path = path
        self._fd = None

    def acquire(self) -> bool:
        if self._fd is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
