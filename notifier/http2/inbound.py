"""What the frames mean that are off the fast path."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from notifier.http2 import frames
from notifier.http2.frames import Code, PeerError
from notifier.http2.headers import status_in
from notifier.http2.replies import LARGEST_BLOCK, Block, Reply

if TYPE_CHECKING:
    from notifier.http2.connection import Connection

log = logging.getLogger(__name__)

# Frames that demand an answer or say nothing; nobody needs that many between two ticks.
_MOST_DEMANDS = 1000


def handle(
    connection: "Connection", kind: int, flags: int, stream_id: int, payload: bytes
) -> None:
    """One frame; raises PeerError when it must not stand here."""
    stream_id &= frames.LARGEST
    if connection.block is not None and kind != frames.CONTINUATION:
        raise PeerError(Code.PROTOCOL_ERROR, "a header block was interrupted")
    if not connection.ready.done() and (kind != frames.SETTINGS or flags & frames.ACK):
        raise PeerError(Code.PROTOCOL_ERROR, "it did not begin with SETTINGS")
    if kind in _ON_CONNECTION and stream_id:
        raise PeerError(Code.PROTOCOL_ERROR, f"frame type {kind} on a stream")
    if kind in _ON_STREAM and not stream_id:
        raise PeerError(Code.PROTOCOL_ERROR, f"frame type {kind} without a stream")
    handler = _HANDLERS.get(kind)
    if handler is None:
        count_demand(connection)
    else:
        handler(connection, flags, stream_id, payload)


def _data(connection: "Connection", flags: int, stream_id: int, payload: bytes) -> None:
    """DATA off the fast path: mostly of streams that are over for us."""
    if stream_id in connection.replies:
        connection.body(flags, stream_id, payload)
        return
    _must_have_been_open(connection, stream_id)
    connection.count_received(len(payload))
    if not payload:
        count_demand(connection)
    if stream_id in connection.streams:
        connection.drop(stream_id, Code.PROTOCOL_ERROR, "a body before its headers")


def _headers(
    connection: "Connection", flags: int, stream_id: int, payload: bytes
) -> None:
    _must_have_been_open(connection, stream_id)
    block = Block(
        stream_id,
        frames.unpadded(flags, payload),
        end_stream=bool(flags & frames.END_STREAM),
    )
    if flags & frames.END_HEADERS:
        _complete_block(connection, block)
    else:
        connection.block = block


def _continuation(
    connection: "Connection", flags: int, stream_id: int, payload: bytes
) -> None:
    block = connection.block
    if block is None:
        raise PeerError(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
    block.add(stream_id, payload)
    if flags & frames.END_HEADERS:
        connection.block = None
        _complete_block(connection, block)


def _complete_block(connection: "Connection", block: Block) -> None:
    stream_id = block.stream_id
    if len(block.data) > LARGEST_BLOCK:
        raise PeerError(Code.ENHANCE_YOUR_CALM, "an endless header block")
    fields = connection.fields.decode(block.data)
    if stream_id not in connection.streams:
        # Late news of a stream we gave up.
        return
    if stream_id in connection.replies:
        _trailers(connection, block, fields)
        return
    status = status_in(fields)
    if not status or status == 101 or (status < 200 and block.end_stream):
        connection.drop(stream_id, Code.PROTOCOL_ERROR, "an answer without a status")
    elif status >= 200:
        connection.replies[stream_id] = Reply(status, tuple(fields[1:]))
        if block.end_stream:
            connection.complete(stream_id)


def _trailers(
    connection: "Connection", block: Block, fields: list[tuple[str, str]]
) -> None:
    if not block.end_stream or any(name[:1] == ":" for name, _ in fields):
        connection.drop(block.stream_id, Code.PROTOCOL_ERROR, "malformed trailers")
    else:
        connection.complete(block.stream_id)


def _rst_stream(
    connection: "Connection", flags: int, stream_id: int, payload: bytes
) -> None:
    _must_have_been_open(connection, stream_id)
    code = frames.number_in(payload)
    if stream_id not in connection.streams:
        return
    reason = f"the peer reset the stream: {frames.name_of(code)}"
    if code == Code.REFUSED_STREAM and stream_id not in connection.replies:
        connection.give_back(stream_id, reason)
    else:
        connection.lose(stream_id, reason)


def _settings(
    connection: "Connection", flags: int, stream_id: int, payload: bytes
) -> None:
    if flags & frames.ACK:
        if payload:
            raise PeerError(Code.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload")
        connection.acknowledged = True
        connection.fields.stand_alone()
        return
    _answer_demand(connection, frames.frame(frames.SETTINGS, frames.ACK, 0))
    for key, value in frames.settings_in(payload):
        connection.sender.apply(key, value)
    if not connection.ready.done():
        connection.ready.set_result(None)


def _ping(connection: "Connection", flags: int, stream_id: int, payload: bytes) -> None:
    if len(payload) != 8:
        raise PeerError(Code.FRAME_SIZE_ERROR, "PING of a wrong length")
    if not flags & frames.ACK:
        _answer_demand(connection, frames.frame(frames.PING, frames.ACK, 0, payload))


def _answer_demand(connection: "Connection", reply: bytes) -> None:
    count_demand(connection)
    connection.sender.out.append(reply)


def count_demand(connection: "Connection") -> None:
    connection.demands += 1
    if connection.demands > _MOST_DEMANDS:
        raise PeerError(Code.ENHANCE_YOUR_CALM, "a flood of frames without use")


def _goaway(
    connection: "Connection", flags: int, stream_id: int, payload: bytes
) -> None:
    last, code, reason = frames.goaway_in(payload)
    log.info("%s is going away: %s", connection.authority, reason)
    reason = f"the peer is going away: {reason}"
    connection.blamed = code != Code.NO_ERROR
    connection.drain(reason)
    for open_id in [i for i in connection.streams if i > last]:
        connection.give_back(open_id, reason)


def _window_update(
    connection: "Connection", flags: int, stream_id: int, payload: bytes
) -> None:
    increment = frames.number_in(payload) & frames.LARGEST
    if stream_id:
        _must_have_been_open(connection, stream_id)
    if increment:
        connection.sender.update_window(stream_id, increment)
    elif not stream_id:
        raise PeerError(Code.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
    elif stream_id in connection.streams:
        connection.drop(stream_id, Code.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")


def _push_promise(
    connection: "Connection", flags: int, stream_id: int, payload: bytes
) -> None:
    raise PeerError(Code.PROTOCOL_ERROR, "PUSH_PROMISE, which we had forbidden")


def _must_have_been_open(connection: "Connection", stream_id: int) -> None:
    if stream_id % 2 == 0 or stream_id >= connection.sender.next_id:
        raise PeerError(Code.PROTOCOL_ERROR, f"stream {stream_id} was never opened")


_Handler = Callable[["Connection", int, int, bytes], None]
_HANDLERS: dict[int, _Handler] = {
    frames.DATA: _data,
    frames.HEADERS: _headers,
    frames.RST_STREAM: _rst_stream,
    frames.SETTINGS: _settings,
    frames.PUSH_PROMISE: _push_promise,
    frames.PING: _ping,
    frames.GOAWAY: _goaway,
    frames.WINDOW_UPDATE: _window_update,
    frames.CONTINUATION: _continuation,
}
_ON_CONNECTION = {frames.SETTINGS, frames.PING, frames.GOAWAY}
_ON_STREAM = {frames.DATA, frames.HEADERS, frames.RST_STREAM, frames.CONTINUATION}
