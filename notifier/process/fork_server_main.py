"""The main function of a fork server."""

import gc
import os
from contextlib import suppress
from importlib import import_module
from multiprocessing import connection, forkserver
from pathlib import Path


def run(listener_fd: int, alive_fd: int, warm_up_fd: int | None = None) -> None:
    """Fork children for the clients of the socket, until the alive pipe is closed.

    The engine is imported when there is something to read from `warm_up_fd`, so that
    a web worker that starts at the same time need not share the CPU with us.
    """
    with suppress(OSError):
        # Shown by ps and top; Linux only.
        Path("/proc/self/comm").write_text("fork-server")
    if warm_up_fd is not None:
        connection.wait([listener_fd, alive_fd, warm_up_fd])
        os.close(warm_up_fd)
    # Imported here, because a web worker, which imports us, needs nothing of it.
    import_module("notifier.process.preload")
    # The collector would write to the memory pages that the children share with us.
    gc.freeze()
    # A reader of the host's output must not wait for us after the host has ended.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    forkserver.main(listener_fd, alive_fd, [])
