"""A process that stops in the middle of a write to SQLite; run as a module.

It takes the writers' lock of the database whose URL is its argument, and stops itself.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from datastore import Datastore
from tests.support import push_processes
from tests.support.wait import until


def hold(url: str) -> None:
    with Datastore(url).write():
        os.kill(os.getpid(), signal.SIGSTOP)


@contextmanager
def stopped(url: str) -> Iterator[None]:
    """The lock is held by a stopped process until the end of the block."""
    command = [sys.executable, "-m", "tests.support.lock_holder", url]
    with subprocess.Popen(command) as holder:
        try:
            until(lambda: push_processes.state(holder.pid) == "T")
            yield
        finally:
            holder.send_signal(signal.SIGCONT)
            holder.wait(30)


if __name__ == "__main__":
    hold(sys.argv[1])
