"""The wake socket is read only while the engine has room."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from notifier.engine import ANY_JOB, LARGEST_ID
from notifier.process.wake_socket import FULL_QUEUE, WakeSocket


@dataclass
class EngineWithRoom:
    """An engine reduced to the part that the wake socket uses."""

    has_room: bool = True
    expected: list[int] = field(default_factory=list)

    def expect(self, job_id: int) -> None:
        self.expected.append(job_id)


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


def _received(ends, *wake_ups: bytes) -> list[int]:
    """The jobs that an engine expects after these datagrams."""
    ours, theirs = ends

    async def main() -> list[int]:
        wake, engine = asyncio.Event(), EngineWithRoom()
        wake_socket = WakeSocket(ours, engine, wake)
        for wake_up in wake_ups:
            theirs.send(wake_up)
        await asyncio.wait_for(wake.wait(), 5)
        wake_socket.close()
        return engine.expected

    return asyncio.run(main())


def test_a_wake_up_names_its_job(ends) -> None:
    assert _received(ends, b"!17", b"!%d" % LARGEST_ID) == [17, LARGEST_ID]


@pytest.mark.parametrize(
    "wake_up",
    [b"!", b"", b"?", b"!-1", b"!1 ", b"!x", b"!" + b"9" * 19, b"\xff" * 500],
    ids=repr,
)
def test_a_wake_up_without_a_valid_id_is_for_any_job(ends, wake_up: bytes) -> None:
    assert _received(ends, wake_up) == [ANY_JOB]


def test_when_the_queue_may_have_been_full_any_job_may_be_due(ends) -> None:
    jobs = range(1, FULL_QUEUE + 1)

    assert _received(ends, *(b"!%d" % job for job in jobs)) == [*jobs, ANY_JOB]
