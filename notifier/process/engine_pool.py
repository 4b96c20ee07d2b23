"""Processes with a warm engine each, behind a multiprocessing.Pool."""

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

from bottlepost import logs
from config import Settings
from datastore.file_lock import LockFile
from notifier.engine import IsRetired, never_retired
from notifier.process import engine_thread, fork_server
from notifier.process.generation import Retirement

# A pool that is closed, for example with its web worker, waits no longer than this.
STOP_S = 2.0


class EnginePool:
    """A pool of `pool_size` processes; each creates its engine at its first wake-up.

    With the number of a generation, they begin nothing when there is a newer one.
    """

    def __init__(self, settings: Settings, number: int | None = None) -> None:
        self._pool = Pool(
            settings.pool_size,
            _initialize,
            (settings, number),
            context=_PoolContext(settings.run_dir),
        )

    def send(self, job_ids: Sequence[int]) -> None:
        """Wake one engine per job; returns at once."""
        for job_id in job_ids:
            self._pool.apply_async(_wake, (job_id,))

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()


_settings: Settings
_is_retired: IsRetired = never_retired


def _initialize(settings: Settings, number: int | None) -> None:
    """Runs first in each process of the pool."""
    global _settings, _is_retired  # noqa: PLW0603 - an initializer has no other place
    _settings = settings
    logs.own("engine", settings)
    if number is not None:
        _is_retired = Retirement(settings.run_dir, number).has_begun
    signal.signal(signal.SIGTERM, _exit)
    # The terminal's Ctrl-C is for the host, which then ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    util.Finalize(None, _stop, exitpriority=10)


def _wake(job_id: int) -> None:
    engine_thread.shared(_settings, _is_retired).wake(job_id)


def _stop() -> None:
    engine_thread.shared(_settings).stop(STOP_S)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


class _PoolProcess(ForkServerProcess):
    """A process that any host may start, with or without a guard around `__main__`.

    A daemonic host may start it too, as granian's workers are.
    """

    _Popen = staticmethod(fork_server.Popen)

    def start(self) -> None:
        # The same as Process.start, without its check for a daemonic parent and without
        # `_children`, because the pool itself ends its processes.
        process: Any = self
        process._popen = process._Popen(self)
        process._sentinel = process._popen.sentinel
        # As in Process.start: they hold references to the queues.
        del process._target, process._args, process._kwargs


class _PoolContext(ForkServerContext):
    """A forkserver context whose locks are released when their holder is killed."""

    Process = _PoolProcess

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
    """A lock that the kernel releases when its holder is killed.

    An idle process of a pool holds the queue's lock while it waits. If that lock were a
    semaphore, killing the process would stop the pool for good.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: LockFile | None = None
        path.touch(0o600)
        util.Finalize(self, path.unlink, (True,))

    def __getstate__(self) -> Path:
        return self._path

    def __setstate__(self, path: Path) -> None:
        self._path = path
        self._file = None

    def acquire(self) -> bool:
        if self._file is None:
            self._file = LockFile(self._path)
        self._file.lock()
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.unlock()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
