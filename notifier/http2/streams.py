"""The streams of one connection: open requests, partial responses, receive window."""

import asyncio
import math
import time
from collections.abc import Mapping

from notifier.http2 import frames
from notifier.http2.batch import Batch, Queue
from notifier.http2.budget import Budget
from notifier.http2.frames import Code, PeerError
from notifier.http2.headers import FieldDecoder
from notifier.http2.messages import Response
from notifier.http2.pooled import REBUFFS
from notifier.http2.responses import (
    MAX_BODY,
    MAX_HEADER_LIST,
    RECEIVE_WINDOW,
    SMALL_DATA,
    HeaderBlock,
    PartialResponse,
)
from notifier.http2.sending import Sender
from notifier.http2.share import Share
from notifier.outcome import ChannelDown

# A connection that ends later after its last request was closed because it was idle.
_IN_USE_S = 1.0


class Streams:
    """The state that frames of the peer change; the connection moves the bytes.

    Every open request ends once: answered, failed, or back in the queue.
    """

    def __init__(self, authority: str, queue: Queue, share: Share) -> None:
        self.authority = authority
        self.share = share
        self.sender = Sender(authority)
        # Open requests, oldest first.
        self.open = self.sender.streams
        self.partial: dict[int, PartialResponse] = {}
        # The header block that has begun and continues in the next frame.
        self.header_block: HeaderBlock | None = None
        self.decoder = FieldDecoder(MAX_HEADER_LIST)
        # How many requests have been answered.
        self.answers = 0
        # How many of the answers turn the caller away, whatever it asks for.
        self.rebuffs = 0
        # When a request was last sent.
        self.opened_at = -math.inf
        # Done with the peer's first SETTINGS, or with the reason there were none.
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # The peer has acknowledged our settings, so it keeps no header table.
        self.settings_acknowledged = False
        # No new streams: the peer or we have begun to shut down.
        self.draining = False
        # The peer's GOAWAY had an error code.
        self.goaway_error = False
        # The first known reason for the end of the connection.
        self.reason = ""
        # Pays for the frames that advance no request.
        self.budget = Budget()
        self._receive_window = RECEIVE_WINDOW
        self._queue = queue

    @property
    def in_use(self) -> bool:
        """Requests are open, or the last one was sent a moment ago."""
        return bool(self.open) or time.monotonic() - self.opened_at < _IN_USE_S

    def drain(self, reason: str) -> None:
        """Open no more streams; the connection closes after the last open request."""
        if not self.draining:
            self.draining = True
            # Waiting requests need another connection now, not when this one ends.
            self._queue.wake()
        self.reason = self.reason or reason

    def add_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """DATA of a stream whose response has begun."""
        self.count_received(len(payload))
        if flags & frames.PADDED:
            payload = frames.strip_padding(flags & frames.PADDED, payload)
        partial = self.partial[stream_id]
        partial.add(payload)
        if partial.size > MAX_BODY:
            reason = "an answer larger than any provider's"
            self.reset(stream_id, Code.CANCEL, reason)
        elif flags & frames.END_STREAM:
            self.complete(stream_id)
        elif len(payload) < SMALL_DATA:
            self.charge(1)

    def complete(self, stream_id: int) -> None:
        """The response of this stream has arrived to its last byte."""
        response = self.partial.pop(stream_id).response()
        if response is None:
            self.reset(stream_id, Code.PROTOCOL_ERROR, "not the length it announced")
        else:
            self.answer(stream_id, response)

    def answer(self, stream_id: int, response: Response) -> None:
        self.answers += 1
        if response.status >= 500 or response.status in REBUFFS:
            self.rebuffs += 1
        batch, index = self.sender.close(stream_id)
        batch.answer(index, response)

    def accept(self, requests: Mapping[int, tuple[Batch, int]]) -> None:
        """These requests, by stream and no longer open, got a plain 200."""
        self.answers += len(requests)
        by_batch: dict[Batch, list[int]] = {}
        indexes: list[int] = []
        last = None
        for batch, index in requests.values():
            if batch is not last:
                indexes = by_batch.setdefault(batch, [])
                last = batch
            indexes.append(index)
        for batch, indexes in by_batch.items():
            batch.accept(indexes)

    def reset(self, stream_id: int, code: Code, reason: str) -> None:
        """Cancel one stream; the peer may have processed its request."""
        self.sender.reset(stream_id, code)
        self.fail(stream_id, reason)

    def fail(self, stream_id: int, reason: str) -> None:
        """The stream has ended without a response."""
        batch, _ = self._close(stream_id)
        batch.fail(1, ChannelDown(reason))

    def requeue(self, stream_id: int, reason: str) -> None:
        """The stream has ended, and the peer has not processed its request."""
        batch, index = self._close(stream_id)
        batch.requeue(index, reason)

    def _close(self, stream_id: int) -> tuple[Batch, int]:
        self.partial.pop(stream_id, None)
        self.sender.forget(stream_id)
        return self.sender.close(stream_id)

    def fail_all(self, reason: str) -> None:
        """The connection has ended: fail all open requests."""
        batches = [batch for batch, _ in self.open.values()]
        self.open.clear()
        self.partial.clear()
        for batch in batches:
            batch.fail(1, ChannelDown(reason))

    def count_received(self, size: int) -> None:
        """Widen the connection's window again for all that we do not hold in memory."""
        self._receive_window -= size
        if self._receive_window < 0:
            raise PeerError(Code.FLOW_CONTROL_ERROR, "more data than the window")
        if self._receive_window < RECEIVE_WINDOW // 2:
            held = sum(partial.size for partial in self.partial.values())
            increment = RECEIVE_WINDOW - self._receive_window - held
            if increment > RECEIVE_WINDOW // 4:
                self._receive_window += increment
                self.sender.out.append(frames.window_update(0, increment))

    def charge(self, cost: int) -> None:
        """The peer has sent a frame that advances no request."""
        self.budget.charge(cost, self.answers)
