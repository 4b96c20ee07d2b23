"""Our own fork server, one per web worker, from which our processes are forked.

multiprocessing's own fork server is shared with all other code of the host. Ours has
imported the engine beforehand, and its children never run the host's `__main__` again,
which in a small script would start the web server a second time.
"""

import io
import os
import sys
import threading
from multiprocessing import (
    context,
    forkserver,
    popen_forkserver,
    reduction,
    set_executable,
    util,
)
from multiprocessing.process import BaseProcess

from notifier.process import fork_safety, interpreter

PRELOAD = ["notifier.process.preload"]


class _OwnForkServer:
    """The fork server of this process; one inherited over a fork is replaced."""

    def __init__(self) -> None:
        self._server = forkserver.ForkServer()
        self._pid = 0
        self._lock = threading.Lock()

    def running(self) -> forkserver.ForkServer:
        with self._lock:
            if self._pid != os.getpid():
                self._renew()
            try:
                self._server.ensure_running()
            except ChildProcessError:
                # It ended, and the host reaped it: a host that waits for all its
                # children, or that ignores SIGCHLD.
                self._renew()
                self._server.ensure_running()
            return self._server

    def _renew(self) -> None:
        # Our end (after a fork: our copy) of the pipe that keeps the old one alive.
        alive_fd = getattr(self._server, "_forkserver_alive_fd", None)
        if alive_fd is not None:
            os.close(alive_fd)
        self._server = forkserver.ForkServer()
        self._server.set_forkserver_preload(PRELOAD)
        self._pid = os.getpid()


_own = _OwnForkServer()


def warm_up() -> None:
    """Start the fork server, so that the first message does not wait for it."""
    with fork_safety.no_fork():
        set_interpreter()
        _own.running()


class Popen(popen_forkserver.Popen):
    """Asks our fork server for a child and sends it its process object."""

    # Descriptors for the child, which `duplicate_for_child` notes.
    _fds: list[int]

    def _launch(self, process: BaseProcess) -> None:
        # Without "init_main_from_…": the child does not need the host's main module.
        preparation = {
            "name": process.name,
            "sys_path": [entry or os.getcwd() for entry in sys.path],
            "dir": os.getcwd(),
        }
        message = io.BytesIO()
        # Lets what is pickled, such as a queue's pipe, add its descriptors to our list.
        context.set_spawning_popen(self)
        try:
            reduction.dump(preparation, message)
            reduction.dump(process, message)
        finally:
            context.set_spawning_popen(None)
        with fork_safety.no_fork():
            set_interpreter()
            server = _own.running()
            self.sentinel, data = server.connect_to_new_process(self._fds)
            self.finalizer = util.Finalize(self, os.close, (self.sentinel,))
            with open(data, "wb") as pipe:
                pipe.write(message.getbuffer())
            self.pid = forkserver.read_signed(self.sentinel)


def set_interpreter() -> None:
    """Tell multiprocessing where Python is if it is embedded, as in uWSGI."""
    set_executable(interpreter.path())
