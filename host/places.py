"""Places for long bodies, each read by a thread of its own."""

import asyncio
from asyncio import Future
from collections import deque

from host.shares import Bounds, Client, Shares

# Long bodies that are read at once. One place is kept for the service, so that imports
# go on whatever users send.
PLACES = Bounds(total=16, address=8, caller=4, kept=1)
# Long bodies that wait for a place, each with READ_AHEAD bytes in memory.
QUEUE = Bounds(total=80, address=32, caller=8, kept=16)


class Places:
    """Grants places in the order of requests; used only on the event loop."""

    def __init__(self, places: Bounds = PLACES, queue: Bounds = QUEUE) -> None:
        self._taken = Shares(places)
        self._queued = Shares(queue)
        self._waiting: deque[tuple[Client, Future[None]]] = deque()

    async def take(self, client: Client, timeout_s: float) -> bool:
        """Wait for a place; False if there is none in time, or too many wait."""
        if self._taken.fits(client):
            self._taken.take(client)
            return True
        if not self._queued.fits(client):
            return False
        granted: Future[None] = asyncio.get_running_loop().create_future()
        entry = (client, granted)
        self._waiting.append(entry)
        self._queued.take(client)
        try:
            await asyncio.wait([granted], timeout=timeout_s)
        finally:
            self._queued.give_back(client)
            if not granted.done():
                self._waiting.remove(entry)
        return granted.done()

    def give_back(self, client: Client) -> None:
        self._taken.give_back(client)
        # A client above its share keeps none of those behind it waiting.
        for entry in list(self._waiting):
            waiting, granted = entry
            if self._taken.fits(waiting):
                self._taken.take(waiting)
                self._waiting.remove(entry)
                granted.set_result(None)
