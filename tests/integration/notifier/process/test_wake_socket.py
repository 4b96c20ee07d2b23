"""The wake socket is read only while the engine has room."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from notifier.process.wake_socket import WakeSocket


@dataclass
class EngineWithRoom:
    """An engine reduced to the part that the wake socket uses."""

    has_room: bool = True


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def _send_until_full(theirs: socket.socket) -> None:
    for _ in range(100_000):
        try:
            theirs.send(b"!")
        except BlockingIOError:
            return
    raise AssertionError("the queue has no end")


def test_a_datagram_wakes_the_engine(ends) -> None:
    ours, theirs = ends

    async def main() -> None:
        wake = asyncio.Event()
        wake_socket = WakeSocket(ours, EngineWithRoom(), wake)
        theirs.send(b"!")
        await asyncio.wait_for(wake.wait(), 5)
        wake_socket.close()

    asyncio.run(main())


def test_wake_ups_stay_in_the_queue_while_there_is_no_room(ends) -> None:
    ours, theirs = ends

    async def main() -> None:
        wake = asyncio.Event()
        wake_socket = WakeSocket(ours, EngineWithRoom(has_room=False), wake)
        _send_until_full(theirs)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wake.wait(), 0.1)
        wake_socket.close()

    asyncio.run(main())

    with pytest.raises(BlockingIOError):
        theirs.send(b"!")


def test_the_queue_is_read_when_there_is_room_again(ends) -> None:
    ours, theirs = ends

    async def main() -> None:
        wake = asyncio.Event()
        room = EngineWithRoom(has_room=False)
        wake_socket = WakeSocket(ours, room, wake)
        _send_until_full(theirs)
        asyncio.get_running_loop().call_later(0.05, setattr, room, "has_room", True)
        await asyncio.wait_for(wake.wait(), 5)
        wake_socket.close()

    asyncio.run(main())

    theirs.send(b"!")
