"""Handlers for the frames that the read loop does not treat itself."""

import logging
from collections.abc import Callable

from notifier.http2 import frames
from notifier.http2.frames import Code, PeerError
from notifier.http2.headers import parse_status
from notifier.http2.responses import MAX_HEADER_BLOCK, HeaderBlock, PartialResponse
from notifier.http2.streams import Streams

log = logging.getLogger(__name__)


def handle(
    streams: Streams, kind: int, flags: int, stream_id: int, payload: bytes
) -> None:
    """Apply one frame; raises PeerError if the protocol does not allow it here."""
    stream_id &= frames.LARGEST
    if streams.header_block is not None and kind != frames.CONTINUATION:
        raise PeerError(Code.PROTOCOL_ERROR, "a header block was interrupted")
    if not streams.ready.done() and (kind != frames.SETTINGS or flags & frames.ACK):
        raise PeerError(Code.PROTOCOL_ERROR, "it did not begin with SETTINGS")
    if kind in _ON_CONNECTION and stream_id:
        raise PeerError(Code.PROTOCOL_ERROR, f"frame type {kind} on a stream")
    if kind in _ON_STREAM and not stream_id:
        raise PeerError(Code.PROTOCOL_ERROR, f"frame type {kind} without a stream")
    if kind not in _ADVANCING:
        streams.charge(_cost(payload))
    handler = _HANDLERS.get(kind)
    if handler is not None:
        handler(streams, flags, stream_id, payload)


def _cost(payload: bytes) -> int:
    """The charge for a frame that we read and forget."""
    return 1 + len(payload) // 1024


def _cost_of_block(block: HeaderBlock) -> int:
    """The charge for a header block, whose decoding costs more than other frames."""
    return 1 + len(block.data) // 128


def _cost_of_blocked(streams: Streams) -> int:
    """What a wider window costs beside its frame: a look at each waiting body."""
    return len(streams.sender.blocked_bodies) // 64


def _data(streams: Streams, flags: int, stream_id: int, payload: bytes) -> None:
    """DATA off the fast path: mostly of streams that we have closed."""
    if stream_id in streams.partial:
        streams.add_data(flags, stream_id, payload)
        return
    _refuse_idle(streams, stream_id)
    streams.count_received(len(payload))
    if stream_id in streams.open:
        streams.reset(stream_id, Code.PROTOCOL_ERROR, "a body before its headers")
    else:
        streams.charge(_cost(payload))


def _headers(streams: Streams, flags: int, stream_id: int, payload: bytes) -> None:
    _refuse_idle(streams, stream_id)
    block = HeaderBlock(
        stream_id,
        frames.strip_padding(flags, payload),
        end_stream=bool(flags & frames.END_STREAM),
    )
    if flags & frames.END_HEADERS:
        _complete_block(streams, block)
    else:
        streams.header_block = block


def _continuation(streams: Streams, flags: int, stream_id: int, payload: bytes) -> None:
    block = streams.header_block
    if block is None:
        raise PeerError(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
    block.add(stream_id, payload)
    if flags & frames.END_HEADERS:
        streams.header_block = None
        _complete_block(streams, block)


def _complete_block(streams: Streams, block: HeaderBlock) -> None:
    stream_id = block.stream_id
    if len(block.data) > MAX_HEADER_BLOCK:
        raise PeerError(Code.ENHANCE_YOUR_CALM, "an endless header block")
    if stream_id not in streams.open:
        # We have reset this stream; the peer did not know yet.
        streams.charge(_cost_of_block(block))
        if not streams.settings_acknowledged:
            # It may change the table that the next blocks use.
            streams.decoder.decode(block.data)
        return
    fields = streams.decoder.decode(block.data)
    if stream_id in streams.partial:
        _trailers(streams, block, fields)
        return
    status = parse_status(fields)
    if not status or status == 101 or (status < 200 and block.end_stream):
        streams.reset(stream_id, Code.PROTOCOL_ERROR, "an answer without a status")
    elif status < 200:
        streams.charge(_cost_of_block(block))
    else:
        streams.partial[stream_id] = PartialResponse(status, tuple(fields[1:]))
        if block.end_stream:
            streams.complete(stream_id)


def _trailers(
    streams: Streams, block: HeaderBlock, fields: list[tuple[str, str]]
) -> None:
    if not block.end_stream or any(name[:1] == ":" for name, _ in fields):
        streams.reset(block.stream_id, Code.PROTOCOL_ERROR, "malformed trailers")
    else:
        streams.complete(block.stream_id)


def _rst_stream(streams: Streams, flags: int, stream_id: int, payload: bytes) -> None:
    _refuse_idle(streams, stream_id)
    code = frames.parse_number(payload)
    if stream_id not in streams.open:
        streams.charge(1)
        return
    reason = f"the peer reset the stream: {frames.code_name(code)}"
    if code == Code.REFUSED_STREAM and stream_id not in streams.partial:
        streams.requeue(stream_id, reason)
    else:
        streams.fail(stream_id, reason)


def _settings(streams: Streams, flags: int, stream_id: int, payload: bytes) -> None:
    if flags & frames.ACK:
        if payload:
            raise PeerError(Code.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload")
        streams.settings_acknowledged = True
        streams.decoder.disable_table()
        return
    values = frames.parse_settings(payload)
    windows = sum(key == frames.INITIAL_WINDOW_SIZE for key, _ in values)
    streams.charge(len(values) // 8 + windows * _cost_of_blocked(streams))
    streams.sender.out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
    for key, value in values:
        streams.sender.apply(key, value)
    if not streams.ready.done():
        streams.ready.set_result(None)


def _ping(streams: Streams, flags: int, stream_id: int, payload: bytes) -> None:
    if len(payload) != 8:
        raise PeerError(Code.FRAME_SIZE_ERROR, "PING of a wrong length")
    if not flags & frames.ACK:
        reply = frames.frame(frames.PING, frames.ACK, 0, payload)
        streams.sender.out.append(reply)


def _goaway(streams: Streams, flags: int, stream_id: int, payload: bytes) -> None:
    last, code, reason = frames.parse_goaway(payload)
    streams.charge(len(streams.open) // 64)
    log.info("%s is going away: %s", streams.authority, reason)
    reason = f"the peer is going away: {reason}"
    streams.goaway_error = code != Code.NO_ERROR
    if not streams.goaway_error and streams.in_use:
        # The first of two GOAWAYs often includes streams that do not exist yet.
        served = min(last + 1, streams.sender.next_id) // 2
        streams.share.learn(served, again=streams.draining)
    streams.drain(reason)
    for open_id in [i for i in streams.open if i > last]:
        streams.requeue(open_id, reason)


def _window_update(
    streams: Streams, flags: int, stream_id: int, payload: bytes
) -> None:
    increment = frames.parse_number(payload) & frames.LARGEST
    if stream_id:
        _refuse_idle(streams, stream_id)
    else:
        streams.charge(_cost_of_blocked(streams))
    if increment:
        streams.sender.update_window(stream_id, increment)
    elif not stream_id:
        raise PeerError(Code.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
    elif stream_id in streams.open:
        streams.reset(stream_id, Code.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")


def _push_promise(streams: Streams, flags: int, stream_id: int, payload: bytes) -> None:
    raise PeerError(Code.PROTOCOL_ERROR, "PUSH_PROMISE, which we had forbidden")


def _refuse_idle(streams: Streams, stream_id: int) -> None:
    if stream_id % 2 == 0 or stream_id >= streams.sender.next_id:
        raise PeerError(Code.PROTOCOL_ERROR, f"stream {stream_id} was never opened")


_Handler = Callable[[Streams, int, int, bytes], None]
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
# Frames of these types may carry an answer. Where they do not, they pay for themselves;
# all others pay always.
_ADVANCING = {frames.DATA, frames.HEADERS, frames.RST_STREAM}
_ON_CONNECTION = {frames.SETTINGS, frames.PING, frames.GOAWAY}
_ON_STREAM = {frames.DATA, frames.HEADERS, frames.RST_STREAM, frames.CONTINUATION}
