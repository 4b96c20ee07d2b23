"""Starting PushProcesses for one web worker, one at a time, behind the response."""

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

# A process that does not answer by then is given up on; the watchdog goes on asking.
START_S = 60.0
LOOK_S = 0.01
SETTLE_S = 0.05
# One that lived that long did not fail at its start: its successor comes at once.
HEALTHY_S = 10.0
LONGEST_PAUSE_S = 30.0
CLOSE_S = 2.0
ASK = b"!"
ANOTHER = b"+"


class Starter:
    """A daemon thread that starts a PushProcess when nobody took the news.

    `ask` may be called from any thread, and costs a write to a pipe. `on_end` is
    called on the thread when a process it started has ended, however it did.
    """

    def __init__(
        self,
        slots: Slots,
        make: Callable[[], PushProcess],
        *,
        on_end: Callable[[], None],
    ) -> None:
        self._slots = slots
        self._make = make
        self._on_end = on_end
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._children: dict[int, tuple[PushProcess, float]] = {}
        self._asked = False
        self._wants_another = False
        self._crashes = 0
        self._not_before = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="starter", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Start a process if none takes the news now; many calls become one."""
        if not self._closing.is_set():
            self._send(ASK)

    def ask_for_another(self) -> None:
        """Start a process in a free slot, whoever takes the news."""
        if not self._closing.is_set():
            self._send(ANOTHER)

    def close(self) -> None:
        """Finish what has been asked, shortly; processes go on, they are not ours."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._send(b".")
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._children.clear()
            self.forget()

    def forget(self) -> None:
        """Close what is open; after a fork, our copies of it."""
        for fd in (self._wake_read, self._wake_write, *self._children):
            os.close(fd)

    def _send(self, what: bytes) -> None:
        # A full pipe has been pulled often enough.
        with suppress(BlockingIOError):
            os.write(self._wake_write, what)

    def _run(self) -> None:
        if not self._slots.count_listeners():
            self._warm_up()
        while not self._closing.is_set():
            self._wait()
            if time.monotonic() >= self._not_before:
                self._serve()

    def _warm_up(self) -> None:
        try:
            fork_server.warm_up()
        except OSError as problem:
            log.error("cannot start the fork server: %s", problem)

    def _wait(self) -> None:
        """Until somebody asks, a child ends, or the pause after a crash is over."""
        pause_s = None
        if self._asked or self._wants_another:
            pause_s = max(self._not_before - time.monotonic(), 0.0)
        for ready in connection.wait([self._wake_read, *self._children], pause_s):
            if ready == self._wake_read:
                received = os.read(self._wake_read, 65536)
                self._asked |= ASK in received
                self._wants_another |= ANOTHER in received
            elif isinstance(ready, int):
                self._see_end(ready)

    def _serve(self) -> None:
        """Do what has been asked for."""
        asked, self._asked = self._asked, False
        wants_another, self._wants_another = self._wants_another, False
        try:
            if wants_another:
                self._start_another()
            elif asked:
                self._bring_up()
        except (OSError, EOFError) as problem:
            log.error("cannot start a PushProcess: %s", problem)
            self._asked = True
            self._pause_after_crash(lived_s=0.0)

    def _bring_up(self) -> None:
        """Start a process unless one takes the news after all."""
        deadline = time.monotonic() + START_S
        if self._slots.count_listeners():
            # Its queue is full: perhaps it only waits for the CPU.
            self._closing.wait(SETTLE_S)
        while self._slots.wake() is WakeResult.NO_LISTENER:
            with self._slots.start_turn() as is_ours:
                if is_ours:
                    # One may have come up while we were waiting for our turn.
                    if self._slots.wake() is WakeResult.NO_LISTENER:
                        self._start(deadline)
                    return
            if self._closing.wait(LOOK_S) or time.monotonic() > deadline:
                return

    def _start_another(self) -> None:
        if self._slots.count_listeners() == self._slots.count:
            return
        with self._slots.start_turn() as is_ours:
            if is_ours:
                self._start(time.monotonic() + START_S)

    def _start(self, deadline: float) -> None:
        process = self._make()
        process.start()
        self._children[process.sentinel] = process, time.monotonic()
        # It is up when it takes news. If it ends instead, there was no free slot, and
        # the owners of the slots look at the outbox after us; or it crashed.
        while time.monotonic() < deadline and not self._closing.is_set():
            if connection.wait([process.sentinel], LOOK_S):
                return
            if self._slots.wake() is not WakeResult.NO_LISTENER:
                return

    def _see_end(self, sentinel: int) -> None:
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
        self._on_end()

    def _pause_after_crash(self, lived_s: float) -> None:
        """The first successor comes at once, but not one after the other."""
        self._crashes = 1 if lived_s >= HEALTHY_S else self._crashes + 1
        pause_s = min(0.25 * 2 ** (self._crashes - 1), LONGEST_PAUSE_S)
        self._not_before = time.monotonic() + (0 if self._crashes == 1 else pause_s)
