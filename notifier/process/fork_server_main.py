"""The main function of a fork server."""

import gc
import os
from importlib import import_module
from multiprocessing import forkserver

from config import platform, run_directory


def run(listener_fd: int, alive_fd: int) -> None:
    """Fork children for the clients of the socket, until the alive pipe is closed."""
    # The web worker may be another program's, with other files to create.
    run_directory.keep_private()
    platform.name_process("fork-server")
    # Imported here, because most web workers, which import us, need nothing of it. In
    # the one that `python server.py` forks it has been imported already.
    import_module("notifier.process.preload")
    # The collector would write to the memory pages that the children share with us.
    gc.freeze()
    # A reader of the host's output must not wait for us after the host has ended.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    forkserver.main(listener_fd, alive_fd, [])
