"""Starts PushProcesses for one web worker, one at a time, outside of requests."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection

from notifier.process import fork_server
from notifier.process.push_process import PushProcess
from notifier.process.slots import Slots, WakeResult

log = logging.getLogger(__name__)

# The starter stops waiting for a process after this; the watchdog goes on asking.
START_S = 60.0
CHECK_S = 0.01
SETTLE_S = 0.05
# A process that lived this long did not crash at its start: the next starts at once.
HEALTHY_S = 10.0
LONGEST_PAUSE_S = 30.0
CLOSE_S = 2.0
# Bytes in the pipe to the thread.
START = b"!"
ANOTHER = b"+"
CLOSE = b"."


class Starter:
    """A daemon thread that starts a PushProcess when none took a wake-up.

    `request_start` may be called from any thread and costs a write to a pipe. `on_exit`
    is called on the starter's thread when a process that it started has ended. While
    `leave_to_newer` returns true, web workers with newer settings start the processes.
    """

    def __init__(
        self,
        slots: Slots,
        make_process: Callable[[], PushProcess],
        *,
        on_exit: Callable[[], None],
        leave_to_newer: Callable[[], bool] = lambda: False,
    ) -> None:
        self._slots = slots
        self._make_process = make_process
        self._on_exit = on_exit
        self._leave_to_newer = leave_to_newer
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        # Sentinel -> the process and when it was started.
        self._children: dict[int, tuple[PushProcess, float]] = {}
        self._start_requested = False
        self._another_requested = False
        self._crashes = 0
        self._not_before = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="starter", daemon=True)
        self._thread.start()

    def request_start(self) -> None:
        """Start a process if none takes a wake-up now; many calls become one."""
        if not self._closing.is_set():
            self._send(START)

    def request_another(self) -> None:
        """Start a process in a free slot, even if another one takes wake-ups."""
        if not self._closing.is_set():
            self._send(ANOTHER)

    def close(self) -> None:
        """Finish a requested start, within CLOSE_S; running processes go on."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._send(CLOSE)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._children.clear()
            self.close_fds()

    def close_fds(self) -> None:
        """Close our descriptors; after a fork, our copies of the parent's."""
        for fd in (self._wake_read, self._wake_write, *self._children):
            os.close(fd)

    def _send(self, request: bytes) -> None:
        # A full pipe wakes the thread anyway.
        with suppress(BlockingIOError):
            os.write(self._wake_write, request)

    def _run(self) -> None:
        self._warm_up()
        while not self._closing.is_set():
            try:
                self._wait()
                if time.monotonic() >= self._not_before:
                    self._handle_requests()
            except Exception:
                # Nobody else starts processes, so this thread has to go on.
                log.exception("starting a PushProcess failed")
                self._pause_after_crash(lived_s=0.0)
                self._closing.wait(CHECK_S)

    def _warm_up(self) -> None:
        try:
            if not self._slots.count_listeners():
                fork_server.warm_up()
        except Exception as problem:
            # It is tried again at the first start.
            log.error("cannot start the fork server: %s", problem)

    def _wait(self) -> None:
        """Wait for a request, the end of a child, or the end of a crash's pause."""
        pause_s = None
        if self._start_requested or self._another_requested:
            pause_s = max(self._not_before - time.monotonic(), 0.0)
        for ready in connection.wait([self._wake_read, *self._children], pause_s):
            if ready == self._wake_read:
                received = os.read(self._wake_read, 65536)
                self._start_requested |= START in received
                self._another_requested |= ANOTHER in received
            elif isinstance(ready, int):
                self._reap(ready)

    def _handle_requests(self) -> None:
        start, self._start_requested = self._start_requested, False
        another, self._another_requested = self._another_requested, False
        try:
            if (another or start) and self._leave_to_newer():
                return
            if another:
                self._start_another()
            elif start:
                self._start_if_needed()
        except (OSError, EOFError) as problem:
            log.error("cannot start a PushProcess: %s", problem)
            self._start_requested = True
            self._pause_after_crash(lived_s=0.0)

    def _start_if_needed(self) -> None:
        """Start a process, unless one takes a wake-up after all."""
        deadline = time.monotonic() + START_S
        if self._slots.count_listeners():
            # Its queue is full: perhaps it only waits for the CPU.
            self._closing.wait(SETTLE_S)
        while self._slots.wake() is WakeResult.NO_LISTENER:
            with self._slots.try_start_lock() as is_locked:
                if is_locked:
                    # Another starter may have started one before we got the lock.
                    if self._slots.wake() is WakeResult.NO_LISTENER:
                        self._start(deadline)
                    return
            if self._closing.wait(CHECK_S) or time.monotonic() > deadline:
                return

    def _start_another(self) -> None:
        if self._slots.count_listeners() == self._slots.count:
            return
        with self._slots.try_start_lock() as is_locked:
            if is_locked:
                self._start(time.monotonic() + START_S)

    def _start(self, deadline: float) -> None:
        process = self._make_process()
        process.start()
        self._children[process.sentinel] = process, time.monotonic()
        # It is up when it takes wake-ups. If it exits instead, it has crashed, or there
        # was no free slot and the owners of the slots look at the outbox after us.
        while time.monotonic() < deadline and not self._closing.is_set():
            if connection.wait([process.sentinel], CHECK_S):
                return
            if self._slots.wake() is not WakeResult.NO_LISTENER:
                return

    def _reap(self, sentinel: int) -> None:
        process, started_at = self._children.pop(sentinel)
        lived_s = time.monotonic() - started_at
        if process.exitcode:
            log.error(
                "PushProcess %s ended with %s after %.1f s",
                process.pid,
                process.exitcode,
                lived_s,
            )
            self._pause_after_crash(lived_s)
        process.close()
        self._on_exit()

    def _pause_after_crash(self, lived_s: float) -> None:
        """The first successor starts at once, later ones after growing pauses."""
        self._crashes = 1 if lived_s >= HEALTHY_S else self._crashes + 1
        pause_s = min(0.25 * 2 ** (self._crashes - 1), LONGEST_PAUSE_S)
        self._not_before = time.monotonic() + (0 if self._crashes == 1 else pause_s)
