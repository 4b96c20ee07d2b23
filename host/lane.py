"""Calls that share some threads of a pool, so that they leave the others alone."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from host.shares import Bounds, Client, Shares
from host.thread_pool import ThreadPool

log = logging.getLogger(__name__)

Call = Callable[[], None]
ANYBODY = Client()


class Lane:
    """Runs calls in a pool, but only some of them at once; the others wait.

    Addresses take turns, and so do the callers of an address: whoever asks for more
    than a share waits behind those who do not. A call that waits takes no thread. One
    thread calls `run`.
    """

    def __init__(self, threads: ThreadPool, bounds: Bounds) -> None:
        self._threads = threads
        self._changing = threading.Lock()
        self._running = Shares(bounds)
        # By address and caller, those first whose turn is next.
        self._waiting: dict[str, dict[str, deque[tuple[Client, Call]]]] = {}

    def run(self, call: Call, client: Client = ANYBODY) -> None:
        """Run the call of a client as soon as that is within its share."""
        with self._changing:
            if not self._running.fits(client):
                callers = self._waiting.setdefault(client.address, {})
                callers.setdefault(client.caller, deque()).append((client, call))
                return
            self._running.take(client)
        self._threads.run(partial(self._work, client, call))

    def _work(self, client: Client, call: Call) -> None:
        following: tuple[Client, Call] | None = client, call
        while following is not None:
            client, call = following
            try:
                call()
            except BaseException:
                # As in the pool; and the calls behind it must not wait for ever.
                log.exception("a request failed")
            # Not kept while the thread is idle.
            del call
            following = self._next(client)

    def _next(self, ended: Client) -> tuple[Client, Call] | None:
        """Who comes after a call that has ended: it makes room for one at most."""
        with self._changing:
            self._running.give_back(ended)
            for address, callers in self._waiting.items():
                for caller, calls in callers.items():
                    if not self._running.fits(calls[0][0]):
                        continue
                    following = calls.popleft()
                    self._running.take(following[0])
                    # Their next turns come after those of all others.
                    del callers[caller]
                    if calls:
                        callers[caller] = calls
                    del self._waiting[address]
                    if callers:
                        self._waiting[address] = callers
                    return following
        return None
