"""An HTTP/2 server that answers 200 to everything with as little CPU as possible.

    python -m benchmarks.sink CERTIFICATE KEY [--echo] [--streams N]

Prints its port and serves connections until it is ended. With --echo a response
repeats the request's apns-id, for which it must decode every header.
"""

import argparse
import asyncio
import ssl
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


class Sink(asyncio.Protocol):
    """A connection; with a decoder it repeats the apns-id."""

    def __init__(self, streams: int, decoder: Decoder | None) -> None:
        self._greeting = SettingsFrame(0, {3: streams, 4: 2**20}).serialize() + _WIDE
        self._decoder = decoder
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
            if kind == 1 and self._decoder is not None:
                self._remember_id(stream, data[start:stop])
            if kind <= 1 and flags & 1:
                out.append(self._answer(stream))
            elif kind == 4 and not flags & 1:
                out.append(_SETTINGS_ACK)
            position = stop
        self._rest = data[position:]
        if self._consumed > _WINDOW // 2:
            out.append(WindowUpdateFrame(0, _WINDOW // 2).serialize())
            self._consumed -= _WINDOW // 2
        if out:
            self._transport.write(b"".join(out))

    def _remember_id(self, stream: bytes, block: bytes) -> None:
        fields = dict(self._decoder.decode(block, raw=True))
        self._ids[stream] = fields[b"apns-id"]

    def _answer(self, stream: bytes) -> bytes:
        if self._decoder is None:
            return _ACCEPTED % stream
        block_length = bytes([1 + 9 + 1 + 36])
        return _ACCEPTED_ID % (block_length, stream, self._ids.pop(stream))


async def serve(certificate: str, key: str, streams: int, *, echo: bool) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    server = await asyncio.get_running_loop().create_server(
        lambda: Sink(streams, Decoder() if echo else None),
        "127.0.0.1",
        0,
        ssl=context,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("certificate")
    parser.add_argument("key")
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--streams", type=int, default=1000)
    chosen = parser.parse_args()
    uvloop.run(serve(chosen.certificate, chosen.key, chosen.streams, echo=chosen.echo))


if __name__ == "__main__":
    main()
