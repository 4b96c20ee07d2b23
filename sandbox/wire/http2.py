"""The answering half of an HTTP/2 connection: plain answers and the tricks."""

import asyncio

from sandbox import routes
from sandbox.wire import frames
from sandbox.wire.exchange import Answer, Request, Trick
from sandbox.wire.reader import Reader, Stream


class Http2(Reader):
    """One connection; the sandbox answers its requests."""

    def dispatch(self, stream: int, opened: Stream) -> None:
        found = opened.fields
        body = b"".join(opened.body)
        if found.get("content-length", str(len(body))) != str(len(body)):
            self.reset(stream, frames.PROTOCOL_ERROR)
            return
        request = Request("2", found[":method"], found[":path"], found, body)
        request.repeated = opened.repeated
        request.memory = self.memory
        reply = routes.answer(self.sandbox, request)
        if isinstance(reply, Answer):
            self._perform(stream, reply)
        else:
            task = asyncio.ensure_future(reply)
            self.sandbox.track(task)
            task.add_done_callback(lambda done: self._finish(stream, done))
        if not self.trusted and "trusted" in self.memory:
            self.trusted = True
            self.announce_limit(self.sandbox.rules.max_concurrent_streams)

    def _finish(self, stream: int, task: "asyncio.Future[Answer]") -> None:
        """An answer that took its time."""
        if stream in self.streams and not task.cancelled():
            self._perform(stream, task.result())
            self.flush()
            self.close_when_done()

    def _perform(self, stream: int, answer: Answer) -> None:
        if answer.trick is None:
            self._send(stream, answer)
        else:
            self._play(stream, answer, answer.trick)

    def _send(self, stream: int, answer: Answer) -> None:
        asked = self.streams.pop(stream).fields
        block = frames.head_block(answer.status, answer.headers)
        if answer.body and asked[":method"] != "HEAD":
            self.out.append(frames.frame(frames.HEADERS, 4, stream, block))
            self.out.append(self.bodies.frames_of(stream, answer.body))
        else:
            self.bodies.forget(stream)
            self.out.append(frames.frame(frames.HEADERS, 5, stream, block))

    def _play(self, stream: int, answer: Answer, trick: Trick) -> None:
        kind = trick.kind
        if kind == "delay":
            self._later(trick.delay_s, stream, trick)
        elif kind == "drip":
            self._send_head(stream, answer)
            self._later(trick.delay_s, stream, trick)
        elif kind == "reset":
            self.reset(stream, frames.INTERNAL_ERROR)
        elif kind == "refuse":
            self.reset(stream, frames.REFUSED_STREAM)
        elif kind == "goaway":
            self._turn_away(stream)
        elif kind == "farewell":
            self.say_goodbye(stream, frames.NO_ERROR, "Shutdown")
            self._drop_from(stream + 2)
            self._made(stream, trick)
        elif kind != "hang":
            self._cut(stream, answer, trick)

    def _later(self, delay_s: float, stream: int, trick: Trick) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(delay_s, self._wake, stream, trick)

    def _wake(self, stream: int, trick: Trick) -> None:
        if stream in self.streams:
            self._made(stream, trick)
            self.flush()
            self.close_when_done()

    def _made(self, stream: int, trick: Trick) -> None:
        """The trick's own answer, made only now."""
        answer = trick.then()
        if self.streams[stream].dripping:
            del self.streams[stream]
            self.out.append(self.bodies.frames_of(stream, answer.body))
        else:
            self._perform(stream, answer)

    def _send_head(self, stream: int, answer: Answer) -> None:
        self.streams[stream].dripping = True
        block = frames.head_block(answer.status, answer.headers)
        self.out.append(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block))

    def _turn_away(self, stream: int) -> None:
        """GOAWAY below this stream: it and all above it were never processed."""
        self.say_goodbye(stream - 2 if stream > 2 else 0, frames.NO_ERROR, "Shutdown")
        self._drop_from(stream)

    def _drop_from(self, first: int) -> None:
        for stream in [opened for opened in self.streams if opened >= first]:
            del self.streams[stream]

    def _cut(self, stream: int, answer: Answer, trick: Trick) -> None:
        """End the connection under the request, at one of three moments."""
        if trick.kind == "cut_body":
            self._send_head(stream, answer)
            self.flush()
        if trick.kind == "lose":
            trick.then()
            self.sandbox.inbox.settle()
        else:
            self.flush()
        self.out.clear()
        self.streams.clear()
        self.leaving = True
        self.transport.abort()
