"""Long polls: requests that wait for a message in a conversation."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

# Messages that another process has saved are found by polling.
POLL_EVERY_S = 1.0
# One user cannot take all places, but several devices can wait at once.
MAX_PER_USER = 4


class Listener:
    """A waiting request with a deadline."""

    def __init__(self, wait_s: float) -> None:
        self._deadline = time.monotonic() + wait_s
        self.woken = threading.Event()

    def wait(self, released: Callable[[], AbstractContextManager[None]]) -> bool:
        """Wait for a message; False after the deadline, else the caller reads again."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            return False
        with released():
            self.woken.wait(min(left_s, POLL_EVERY_S))
        # Cleared before the caller reads: a message that comes meanwhile sets it again.
        self.woken.clear()
        return True


class LongPoll:
    """Wakes the waiting requests of this process when a message was saved."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        # Behind a proxy that is not trusted, all users have one address.
        self._max_per_address = max(1, max_waiting // 2)
        self._waiting = 0
        # The number of waiting requests per user, and per address.
        self._by_user: Counter[int] = Counter()
        self._by_address: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._listeners: dict[int, set[Listener]] = {}

    def notify(self, chat_id: int) -> None:
        """Wake the requests that wait for this conversation."""
        if chat_id in self._listeners:
            with self._lock:
                for listener in self._listeners.get(chat_id, ()):
                    listener.woken.set()

    @contextmanager
    def listen(
        self, chat_id: int, user_id: int, address: str, wait_s: float
    ) -> Iterator[Listener]:
        """A listener; its deadline is now if too many requests are waiting already."""
        has_place = wait_s > 0 and self._take_place(user_id, address)
        listener = Listener(wait_s if has_place else 0.0)
        with self._lock:
            self._listeners.setdefault(chat_id, set()).add(listener)
        try:
            yield listener
        finally:
            self._remove(chat_id, listener)
            if has_place:
                self._free_place(user_id, address)

    def _take_place(self, user_id: int, address: str) -> bool:
        with self._lock:
            is_free = (
                self._waiting < self._max_waiting
                and self._by_user[user_id] < MAX_PER_USER
                and (not address or self._by_address[address] < self._max_per_address)
            )
            if is_free:
                self._waiting += 1
                self._by_user[user_id] += 1
                self._by_address[address] += 1
        return is_free

    def _free_place(self, user_id: int, address: str) -> None:
        with self._lock:
            self._waiting -= 1
            self._by_user[user_id] -= 1
            self._by_address[address] -= 1
            if not self._by_user[user_id]:
                del self._by_user[user_id]
            if not self._by_address[address]:
                del self._by_address[address]

    def _remove(self, chat_id: int, listener: Listener) -> None:
        with self._lock:
            self._listeners[chat_id].discard(listener)
            if not self._listeners[chat_id]:
                del self._listeners[chat_id]
