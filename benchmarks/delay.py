"""A TCP relay that gives loopback the round trip of a distant data centre.

    python -m benchmarks.delay PORT MILLISECONDS

Prints its port and relays everything to the given port. Each direction is delayed by
half of the milliseconds.
"""

import argparse
import asyncio
from typing import cast

import uvloop


class RelaySide(asyncio.Protocol):
    """One side of a relayed connection; the other side sends its data later."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self.other: RelaySide | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        for data in self._early:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._later(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._later(None)

    def _later(self, data: bytes | None) -> None:
        assert self.other is not None
        loop = asyncio.get_running_loop()
        loop.call_later(self._delay_s, self.other.send, data)

    def send(self, data: bytes | None) -> None:
        if self._transport is None:
            self._early += [data] if data else []
        elif self._transport.is_closing():
            return
        elif data is None:
            self._transport.close()
        else:
            self._transport.write(data)


class ClientSide(RelaySide):
    """The side of the client; it opens the other one."""

    def __init__(self, port: int, delay_s: float) -> None:
        super().__init__(delay_s)
        self._port = port
        self.other = RelaySide(delay_s)
        self.other.other = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(
            loop.create_connection(lambda: self.other, "127.0.0.1", self._port)
        )


async def relay(port: int, delay_s: float) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: ClientSide(port, delay_s), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("milliseconds", type=float)
    chosen = parser.parse_args()
    uvloop.run(relay(chosen.port, chosen.milliseconds / 2000))


if __name__ == "__main__":
    main()
