"""An HTTP/2 server that answers 200 to everything with as little CPU as possible.

    python -m benchmarks.sink CERTIFICATE KEY [--echo] [--streams N]
                              [--journal FILE] [--delay-ms MS]

Prints its port and serves connections until it is ended. With --echo a response
repeats the request's apns-id, for which it must decode every header. With --journal it
writes down when each push arrived: its time, its message and its device (see `RECORD`).
--delay-ms is the time between a request and its response.
"""

import argparse
import asyncio
import re
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import uvloop
from jh2.hpack import Decoder
from jh2.hyperframe.frame import SettingsFrame, WindowUpdateFrame

_WINDOW = 2**30
_WIDE = WindowUpdateFrame(0, _WINDOW).serialize()
_PREFACE_LENGTH = 24
_SETTINGS_ACK = b"\0\0\0\x04\x01\0\0\0\0"
# HEADERS with END_HEADERS and END_STREAM: ":status: 200" is one byte.
_ACCEPTED = b"\0\0\x01\x01\x05%b\x88"
_ACCEPTED_ID = b"\0\0%b\x01\x05%b\x88\x00\x07apns-id\x24%b"
# Of the journal: the time by `time.monotonic`, the message's id, the device's id.
RECORD = struct.Struct("<dqq")
_FLUSH_S = 0.1
# The engine writes the apns-id uncompressed, and the device's id at its end.
_APNS_ID = b"apns-id\x24"
_DEVICE = slice(len(_APNS_ID) + 24, len(_APNS_ID) + 36)
_MESSAGE = b'"message":'
# Other clients may compress every header, so their payload names the device too.
_DEVICE_FIELD = b'"device":'
_DIGITS = re.compile(rb" *\d+")

# Is told the kind, the flags, the stream and the payload of each frame.
Watch = Callable[[int, int, bytes, bytes], None]


class Journal:
    """A file of arrivals, written ten times a second."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._waiting: list[bytes] = []

    def add(self, message_id: int, device_id: int) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_later(_FLUSH_S, self._flush)
        self._waiting.append(RECORD.pack(time.monotonic(), message_id, device_id))

    def _flush(self) -> None:
        self._file.write(b"".join(self._waiting))
        self._waiting.clear()


class Arrivals:
    """Finds the message and the device of each push of a connection.

    It searches for them instead of decoding, which would cost more than all the rest.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._devices: dict[bytes, int] = {}
        self._parts: dict[bytes, bytes] = {}

    def watch(self, kind: int, flags: int, stream: bytes, payload: bytes) -> None:
        if kind == 1:
            start = payload.rfind(_APNS_ID)
            if start >= 0:
                self._devices[stream] = int(payload[start:][_DEVICE], 16)
        elif kind == 0:
            if self._parts:
                payload = self._parts.pop(stream, b"") + payload
            if not flags & 1:
                # The peer did not know our windows yet, so it sent half a body.
                self._parts[stream] = payload
                return
            device_id = self._devices.pop(stream, None)
            if device_id is None:
                device_id = _number(payload, _DEVICE_FIELD)
            self._journal.add(_number(payload, _MESSAGE), device_id)


def _number(payload: bytes, field: bytes) -> int:
    start = payload.index(field) + len(field)
    found = _DIGITS.match(payload, start)
    assert found is not None
    return int(found[0])


class Sink(asyncio.Protocol):
    """A connection; with a decoder it repeats the apns-id."""

    def __init__(
        self,
        streams: int,
        decoder: Decoder | None = None,
        watch: Watch | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self._greeting = SettingsFrame(0, {3: streams, 4: 2**20}).serialize() + _WIDE
        self._decoder = decoder
        self._watch = self._remember_id if decoder is not None else watch
        self._delay_s = delay_s
        self._ids: dict[bytes, bytes] = {}
        self._rest = b""
        self._skip = _PREFACE_LENGTH
        self._consumed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._greeting)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        self._consumed += len(data)
        position, end = self._skip, len(data)
        self._skip = 0
        out = []
        while position + 9 <= end:
            start = position + 9
            stop = start + int.from_bytes(data[position : position + 3], "big")
            if stop > end:
                break
            kind, flags = data[position + 3], data[position + 4]
            stream = data[position + 5 : start]
            if self._watch is not None:
                self._watch(kind, flags, stream, data[start:stop])
            if kind <= 1 and flags & 1:
                out.append(self._answer(stream))
            elif kind == 4 and not flags & 1:
                out.append(_SETTINGS_ACK)
            position = stop
        self._rest = data[position:]
        if self._consumed > _WINDOW // 2:
            out.append(WindowUpdateFrame(0, _WINDOW // 2).serialize())
            self._consumed -= _WINDOW // 2
        if out and self._delay_s:
            loop = asyncio.get_running_loop()
            loop.call_later(self._delay_s, self._write, b"".join(out))
        elif out:
            self._transport.write(b"".join(out))

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _remember_id(self, kind: int, _: int, stream: bytes, block: bytes) -> None:
        if kind == 1:
            fields = dict(self._decoder.decode(block, raw=True))
            self._ids[stream] = fields[b"apns-id"]

    def _answer(self, stream: bytes) -> bytes:
        if self._decoder is None:
            return _ACCEPTED % stream
        block_length = bytes([1 + 9 + 1 + 36])
        return _ACCEPTED_ID % (block_length, stream, self._ids.pop(stream))


async def serve(chosen: argparse.Namespace) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chosen.certificate, chosen.key)
    context.set_alpn_protocols(["h2"])
    journal = Journal(chosen.journal) if chosen.journal else None

    def connection() -> Sink:
        return Sink(
            chosen.streams,
            Decoder() if chosen.echo else None,
            Arrivals(journal).watch if journal else None,
            chosen.delay_ms / 1000,
        )

    server = await asyncio.get_running_loop().create_server(
        connection, "127.0.0.1", 0, ssl=context
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("certificate")
    parser.add_argument("key")
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
