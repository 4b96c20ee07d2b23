"""The sending half of an HTTP/2 connection: responses and faults."""

import asyncio

from sandbox import routes
from sandbox.wire import frames
from sandbox.wire.exchange import Request, Response, WireFault
from sandbox.wire.reader import FrameReader
from sandbox.wire.stream import Stream


class Http2(FrameReader):
    """One HTTP/2 connection of the sandbox."""

    def dispatch(self, stream: int, opened: Stream) -> None:
        found = opened.fields
        body = b"".join(opened.body)
        if found.get("content-length", str(len(body))) != str(len(body)):
            self.reset(stream, frames.PROTOCOL_ERROR)
            return
        request = Request("2", found[":method"], found[":path"], found, body)
        request.repeated = opened.repeated
        request.connection_state = self.connection_state
        response = routes.respond(self.sandbox, request)
        if isinstance(response, Response):
            self._respond(stream, response)
        else:
            task = asyncio.ensure_future(response)
            self.sandbox.track(task)
            task.add_done_callback(lambda done: self._finish_task(stream, done))
        if not self.trusted and "trusted" in self.connection_state:
            self.trusted = True
            self.announce_limit(self.sandbox.rules.max_concurrent_streams)

    def _finish_task(self, stream: int, task: "asyncio.Future[Response]") -> None:
        if stream in self.streams and not task.cancelled():
            self._respond(stream, task.result())
            self.flush()
            self.close_when_done()

    def _respond(self, stream: int, response: Response) -> None:
        if response.fault is None:
            self._send(stream, response)
        else:
            self._inject(stream, response, response.fault)

    def _send(self, stream: int, response: Response) -> None:
        method = self.streams.pop(stream).fields[":method"]
        block = frames.header_block(response.status, response.headers)
        if response.body and method != "HEAD":
            self.out.append(frames.frame(frames.HEADERS, 4, stream, block))
            self.out.append(self.flow_control.send(stream, response.body))
        else:
            self.flow_control.drop(stream)
            self.out.append(frames.frame(frames.HEADERS, 5, stream, block))

    def _inject(self, stream: int, response: Response, fault: WireFault) -> None:
        kind = fault.kind
        if kind == "delay":
            self._respond_later(stream, fault)
        elif kind == "slow_body":
            self._send_head(stream, response)
            self._respond_later(stream, fault)
        elif kind == "reset":
            self.reset(stream, frames.INTERNAL_ERROR)
        elif kind == "refuse_stream":
            self.reset(stream, frames.REFUSED_STREAM)
        elif kind == "goaway":
            self._go_away_before(stream)
        elif kind == "goaway_after":
            self.send_goaway(stream, frames.NO_ERROR, "Shutdown")
            self._drop_from(stream + 2)
            self._respond_after(stream, fault)
        elif kind != "hang":
            self._cut(stream, response, fault)

    def _respond_later(self, stream: int, fault: WireFault) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(fault.delay_s, self._respond_if_open, stream, fault)

    def _respond_if_open(self, stream: int, fault: WireFault) -> None:
        if stream in self.streams:
            self._respond_after(stream, fault)
            self.flush()
            self.close_when_done()

    def _respond_after(self, stream: int, fault: WireFault) -> None:
        """Send the fault's own response, or the body that its head announced."""
        response = fault.respond()
        if self.streams[stream].head_sent:
            del self.streams[stream]
            self.out.append(self.flow_control.send(stream, response.body))
        else:
            self._respond(stream, response)

    def _send_head(self, stream: int, response: Response) -> None:
        self.streams[stream].head_sent = True
        block = frames.header_block(response.status, response.headers)
        self.out.append(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block))

    def _go_away_before(self, stream: int) -> None:
        """Send a GOAWAY that calls this stream and all later ones unprocessed."""
        self.send_goaway(stream - 2 if stream > 2 else 0, frames.NO_ERROR, "Shutdown")
        self._drop_from(stream)

    def _drop_from(self, first: int) -> None:
        for stream in [opened for opened in self.streams if opened >= first]:
            del self.streams[stream]

    def _cut(self, stream: int, response: Response, fault: WireFault) -> None:
        """Abort the connection: before, in the middle of, or instead of a response."""
        if fault.kind == "cut_after_headers":
            self._send_head(stream, response)
            self.flush()
        if fault.kind == "lose_response":
            fault.respond()
            self.sandbox.inbox.flush()
        else:
            self.flush()
        self.out.clear()
        self.streams.clear()
        self.closing = True
        self.transport.abort()
