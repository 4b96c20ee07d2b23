"""Our own fork server, from which our processes are forked.

multiprocessing's own fork server is shared with all other code of the host. Ours has
imported the engine beforehand, and its children never run the host's `__main__` again,
which in a small script would start the web server a second time.

A web worker starts its fork server as a new program, because other threads run in the
worker. `python server.py` forks one for all its workers before any thread runs: forked
processes share the memory of the modules that were imported before.
"""

import io
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import (
    connection,
    context,
    forkserver,
    popen_forkserver,
    reduction,
    util,
)
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

from bottlepost import own_modules
from config import platform
from notifier.process import fork_safety, fork_server_main, interpreter

log = logging.getLogger(__name__)

# A fork server that hangs is replaced after this time, which is longer the first time,
# because it imports the engine before it answers.
FIRST_FORK_S = 20.0
FORK_S = 3.0
END_S = 1.0
# Where a socket may be if the path of the temporary directory is too long for one.
SHORT_DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - see _socket_address


class _ForkServer:
    """A running fork server."""

    def __init__(self, address: str, alive_fd: int, pid: int) -> None:
        self.address = address
        # It ends when this end of a pipe is closed in every process.
        self.alive_fd = alive_fd
        self.pid = pid
        self._has_forked = False

    def fork(self, fds: Sequence[int]) -> tuple[int, int, int]:
        """Have a child forked: its pid, its sentinel and the pipe for its work.

        Raises an OSError or EOFError if the fork server does not run any more, and
        TimeoutError if it does not answer.
        """
        deadline_s = FORK_S if self._has_forked else FIRST_FORK_S
        sentinel, work = self._request_fork(fds, deadline_s)
        try:
            if not connection.wait([sentinel], deadline_s):
                raise TimeoutError("the fork server does not answer")
            pid = forkserver.read_signed(sentinel)
        except BaseException:
            os.close(sentinel)
            os.close(work)
            raise
        self._has_forked = True
        return pid, sentinel, work

    def _request_fork(self, fds: Sequence[int], timeout_s: float) -> tuple[int, int]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout_s)
            client.connect(self.address)
            sentinel, child_sentinel = os.pipe()
            child_work, work = os.pipe()
            # In place of multiprocessing's resource tracker, a process that we do not
            # need: our processes share no semaphores and no memory.
            tracker = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            try:
                reduction.sendfds(
                    client,
                    [child_work, child_sentinel, self.alive_fd, tracker, *fds],
                )
            except BaseException:
                os.close(sentinel)
                os.close(work)
                raise
            finally:
                for fd in (child_work, child_sentinel, tracker):
                    os.close(fd)
        return sentinel, work


class _OwnForkServer:
    """The fork server that this process uses, replaced if it has died or hangs."""

    def __init__(self) -> None:
        self._server: _ForkServer | None = None
        self._shared: _ForkServer | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def share(self) -> None:
        """Fork one for this process and all that are forked from it later on."""
        with self._lock:
            self._shared = _fork_program()

    def warm_up(self) -> None:
        with self._lock:
            self._ensure_running()

    def fork(self, fds: Sequence[int]) -> tuple[int, int, int]:
        with self._lock:
            server = self._ensure_running()
            try:
                return server.fork(fds)
            except (OSError, EOFError) as problem:
                # It hangs, has died just now, or has died and is a shared one, which
                # is not our child.
                log.warning("the fork server is replaced: %s", problem)
                self._end(server)
                self._forget(server)
                return self._ensure_running().fork(fds)

    def _ensure_running(self) -> _ForkServer:
        if self._shared is not None:
            return self._shared
        if self._server is not None and not self._is_ours_alive(self._server):
            self._forget(self._server)
        if self._server is None:
            self._server = _start_program()
            self._pid = os.getpid()
        return self._server

    def _is_ours_alive(self, server: _ForkServer) -> bool:
        """Whether it runs, and was not inherited over a fork."""
        if self._pid != os.getpid():
            return False
        try:
            ended, _ = os.waitpid(server.pid, os.WNOHANG)
        except ChildProcessError:
            # It ended, and the host reaped it: a host that waits for all its
            # children, or that ignores SIGCHLD.
            return False
        return not ended

    def _end(self, server: _ForkServer) -> None:
        """End one that may hang; if others use it, too, it is left to them."""
        if server is self._server and self._is_ours_alive(server):
            platform.send_signal(
                server.pid,
                signal.SIGKILL,
                lambda: self._is_ours_alive(server),
                wait_s=END_S,
            )
            # Reaps it.
            self._is_ours_alive(server)

    def _forget(self, server: _ForkServer) -> None:
        # After a fork this closes our copy, and the parent's stays.
        os.close(server.alive_fd)
        if server is self._shared:
            self._shared = None
        else:
            self._server = None


_own = _OwnForkServer()


def preload() -> None:
    """Import what the shared fork server needs, before it is forked from us.

    If it imported the engine itself, it would get its own copy of a third of our
    memory, because new objects and references to old ones change pages everywhere.
    """
    if _is_shareable():
        import_module("notifier.process.preload")


def share() -> None:
    """Fork a fork server for this process and the web workers forked from it.

    Call it while no other thread runs, and after the workers' modules were imported.
    Nothing happens where multiprocessing does not fork its workers (Python 3.14): they
    start a fork server each.
    """
    if _is_shareable():
        _own.share()


def _is_shareable() -> bool:
    return multiprocessing.get_start_method() == "fork"


def warm_up() -> None:
    """Start the fork server, so that the first message does not wait for it."""
    with fork_safety.no_fork():
        _own.warm_up()


class Popen(popen_forkserver.Popen):
    """Asks our fork server for a child and sends it its process object."""

    # Descriptors for the child, which `duplicate_for_child` notes.
    _fds: list[int]

    def _launch(self, process: BaseProcess) -> None:
        # Without "init_main_from_…": the child does not need the host's main module.
        # Without "sys_path": the fork server has the one that fits.
        preparation = {"name": process.name, "dir": os.getcwd()}
        message = io.BytesIO()
        # Lets what is pickled, such as a queue's pipe, add its descriptors to our list.
        context.set_spawning_popen(self)
        try:
            reduction.dump(preparation, message)
            reduction.dump(process, message)
        finally:
            context.set_spawning_popen(None)
        with fork_safety.no_fork():
            self.pid, self.sentinel, data = _own.fork(self._fds)
            self.finalizer = util.Finalize(self, os.close, (self.sentinel,))
            with open(data, "wb") as pipe:
                pipe.write(message.getbuffer())


@contextmanager
def _listening() -> Iterator[tuple[str, socket.socket, int, int]]:
    """The address and socket of a new fork server, and both ends of its alive pipe."""
    with socket.socket(socket.AF_UNIX) as listener:
        address = _socket_address()
        listener.bind(address)
        os.chmod(address, 0o600)
        listener.listen()
        alive_read, alive_write = os.pipe()
        try:
            yield address, listener, alive_read, alive_write
        except BaseException:
            os.close(alive_write)
            raise
        finally:
            os.close(alive_read)


def _socket_address() -> str:
    """A path in a new directory of ours, because others may write beside it."""
    name = "fork-server"
    for parent in (tempfile.gettempdir(), *SHORT_DIRECTORIES):
        # 20 for the name of the new directory.
        if len(os.fsencode(parent)) + 20 + len(name) > platform.LONGEST_SOCKET_PATH:
            continue
        with suppress(OSError):
            directory = tempfile.mkdtemp(prefix="bp-", dir=parent)
            util.Finalize(None, shutil.rmtree, (directory, True), exitpriority=0)
            return str(Path(directory) / name)
    raise OSError("there is no directory for the fork server's socket: set TMPDIR")


def _start_program() -> _ForkServer:
    with _listening() as (address, listener, alive_read, alive_write):
        python = interpreter.path()
        fds = [listener.fileno(), alive_read]
        # As here, and what only the environment names.
        script = (
            f"import sys; found = {own_modules.search_path()!r}; "
            "sys.path[:] = found + [e for e in sys.path if e not in found]; "
            "import bottlepost; "
            "from notifier.process.fork_server_main import run; "
            f"run({listener.fileno()}, {alive_read})"
        )
        flags = util._args_from_interpreter_flags()  # type: ignore[attr-defined]
        command = [python, *flags, interpreter.SAFE_PATH, "-c", script]
        pid = util.spawnv_passfds(os.fsencode(python), command, fds)
        return _ForkServer(address, alive_write, pid)


def _fork_program() -> _ForkServer:
    with _listening() as (address, listener, alive_read, alive_write):
        pid = os.fork()
        if pid == 0:
            os.close(alive_write)
            _run_in_child(listener.detach(), alive_read)
        return _ForkServer(address, alive_write, pid)


def _run_in_child(listener_fd: int, alive_fd: int) -> NoReturn:
    """Run the fork server and never return into the code of the parent."""
    status = 1
    try:
        fork_server_main.run(listener_fd, alive_fd)
    except SystemExit:
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)
