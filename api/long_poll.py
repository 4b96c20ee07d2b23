"""Requests that wait for a message in a conversation."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

# Messages that other processes have taken are seen by looking.
LOOK_EVERY_S = 1.0
# So that nobody takes all places; a few devices and pages have one each.
MOST_OF_A_USER = 4


class Listener:
    """One waiting request; it ends at its deadline at the latest."""

    def __init__(self, wait_s: float) -> None:
        self._deadline = time.monotonic() + wait_s
        self.heard = threading.Event()

    def wait(self, released: Callable[[], AbstractContextManager[None]]) -> bool:
        """Whether it is worth to look again; False is the end."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            return False
        with released():
            self.heard.wait(min(left_s, LOOK_EVERY_S))
        # Cleared before the look: what comes during it is heard by the next wait.
        self.heard.clear()
        return True


class LongPoll:
    """Tells the waiting requests of this process about new messages."""

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        # How many requests of a user wait.
        self._waiting: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._listeners: dict[int, set[Listener]] = {}

    def tell(self, chat_id: int) -> None:
        if chat_id in self._listeners:
            with self._lock:
                for listener in self._listeners.get(chat_id, ()):
                    listener.heard.set()

    @contextmanager
    def listen(self, chat_id: int, user_id: int, wait_s: float) -> Iterator[Listener]:
        """A listener; its time is up at once when too many are waiting already."""
        has_place = wait_s > 0 and self._take_place(user_id)
        listener = Listener(wait_s if has_place else 0.0)
        with self._lock:
            self._listeners.setdefault(chat_id, set()).add(listener)
        try:
            yield listener
        finally:
            self._leave(chat_id, listener)
            if has_place:
                self._give_back(user_id)

    def _take_place(self, user_id: int) -> bool:
        with self._lock:
            is_free = (
                self._waiting.total() < self._most_waiting
                and self._waiting[user_id] < MOST_OF_A_USER
            )
            if is_free:
                self._waiting[user_id] += 1
        return is_free

    def _give_back(self, user_id: int) -> None:
        with self._lock:
            self._waiting[user_id] -= 1
            if not self._waiting[user_id]:
                del self._waiting[user_id]

    def _leave(self, chat_id: int, listener: Listener) -> None:
        with self._lock:
            self._listeners[chat_id].discard(listener)
            if not self._listeners[chat_id]:
                del self._listeners[chat_id]
