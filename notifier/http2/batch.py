"""The requests of one send(): each is waiting, open, answered or failed."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from notifier.http2.messages import PLAIN_OK, Head, Request, Response
from notifier.outcome import ChannelDown

# How often a request that the peer did not process is sent again.
MAX_RESENDS = 5


class Batch:
    """One send(): connections take requests from it and report how each ended."""

    __slots__ = (
        "_left",
        "_next",
        "_on_accepted",
        "_on_response",
        "_resends",
        "_returned",
        "done",
        "fault",
        "head",
        "idle_ticks",
        "queue",
        "queued",
        "requests",
    )

    def __init__(
        self,
        head: Head,
        requests: Sequence[Request],
        on_response: Callable[[int, Response], None],
        queue: "Queue",
        on_accepted: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        self.head = head
        self.requests = requests
        self.queue = queue
        self.queued = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Why some requests have no answer; the caller gets the first reason.
        self.fault: ChannelDown | None = None
        # Ticks since a connection last took a request.
        self.idle_ticks = 0
        self._on_response = on_response
        self._on_accepted = on_accepted
        self._left = len(requests)
        self._next = 0
        self._returned: list[int] = []
        self._resends: dict[int, int] = {}

    @property
    def waiting(self) -> int:
        """How many requests no connection has taken yet."""
        if self.done.done():
            return 0
        return len(self._returned) + len(self.requests) - self._next

    def next_body_size(self) -> int:
        """The body length of the next request to be taken."""
        index = self._returned[0] if self._returned else self._next
        return len(self.requests[index].body)

    def take(self, count: int) -> Sequence[int]:
        """The indexes of the next requests, at most `count`."""
        self.idle_ticks = 0
        if self._returned:
            taken = self._returned[:count]
            del self._returned[:count]
            return taken
        first = self._next
        self._next = min(first + count, len(self.requests))
        return range(first, self._next)

    def answer(self, index: int, response: Response) -> None:
        if self.done.done():
            return
        try:
            self._on_response(index, response)
        except Exception as error:  # raised by the caller's code, so it gets it back
            self.done.set_exception(error)
            return
        self._left -= 1
        if not self._left:
            self._finish()

    def accept(self, indexes: Sequence[int]) -> None:
        """These requests were answered with a plain 200."""
        if self._on_accepted is None:
            for index in indexes:
                self.answer(index, PLAIN_OK)
            return
        if self.done.done():
            return
        try:
            self._on_accepted(indexes)
        except Exception as error:  # raised by the caller's code, so it gets it back
            self.done.set_exception(error)
            return
        self._left -= len(indexes)
        if not self._left:
            self._finish()

    def requeue(self, index: int, reason: str) -> None:
        """The peer has certainly not processed this request: send it again."""
        if self.done.done():
            return
        resends = self._resends.get(index, 0) + 1
        if resends > MAX_RESENDS:
            self.fail(1, ChannelDown(f"{reason} ({MAX_RESENDS} times in a row)"))
            return
        self._resends[index] = resends
        self._returned.append(index)
        self.queue.put(self)

    def fail(self, count: int, fault: ChannelDown) -> None:
        """`count` requests will get no answer."""
        if self.done.done():
            return
        self.fault = self.fault or fault
        self._left -= count
        if not self._left:
            self._finish()

    def fail_waiting(self, fault: ChannelDown) -> None:
        """Send no more of this batch; requests that are open may still be answered."""
        count = self.waiting
        self._returned.clear()
        self._next = len(self.requests)
        if count:
            self.fail(count, fault)

    def _finish(self) -> None:
        if self.fault is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(self.fault)


class Queue:
    """The batches with waiting requests, which all connections serve round robin."""

    def __init__(self, wake: Callable[[], None]) -> None:
        # Asks the pool to look at the queue.
        self.wake = wake
        self._batches: deque[Batch] = deque()

    @property
    def waiting(self) -> int:
        """How many requests no connection has taken yet."""
        return sum(batch.waiting for batch in self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(list(self._batches))

    def put(self, batch: Batch) -> None:
        if not batch.queued:
            self._append(batch)
        self.wake()

    def _append(self, batch: Batch) -> None:
        batch.queued = True
        self._batches.append(batch)

    def first(self) -> Batch | None:
        """The batch whose turn it is."""
        while self._batches:
            if self._batches[0].waiting:
                return self._batches[0]
            self._batches.popleft().queued = False
        return None

    def rotate(self) -> None:
        """Move the first batch to the end, or out if it has nothing waiting."""
        batch = self._batches.popleft()
        batch.queued = False
        if batch.waiting:
            self._append(batch)

    def fail_all(self, fault: ChannelDown) -> None:
        for batch in self:
            batch.fail_waiting(fault)

    def tick(self, ticks_allowed: int, fault: ChannelDown) -> None:
        """Fail batches from which nothing was taken for more than these ticks."""
        for batch in self:
            batch.idle_ticks += 1
            if batch.idle_ticks > ticks_allowed:
                batch.fail_waiting(fault)
