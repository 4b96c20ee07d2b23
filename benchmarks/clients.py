"""Clients that post over keep-alive connections and cost next to nothing themselves."""

import json
import multiprocessing
import socket
import time
from array import array
from collections.abc import Sequence
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

TIMEOUT_S = 60


class Sender(NamedTuple):
    """A user with a conversation to write to."""

    token: str
    conversation: int


class Load(NamedTuple):
    """What a block of posting measured."""

    latencies_s: list[float]
    elapsed_s: float

    @property
    def per_second(self) -> float:
        return len(self.latencies_s) / self.elapsed_s


def request_of(sender: Sender) -> bytes:
    """A whole POST /groupchat/send, built once and sent many times."""
    body = json.dumps({"conversation": sender.conversation, "message": "Land in sight"})
    return (
        "POST /groupchat/send HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {sender.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Connection:
    """One keep-alive connection to a server on this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, request: bytes) -> float:
        """Seconds until the whole answer is here; anything but 201 ends the run."""
        started_at = time.perf_counter()
        self._socket.sendall(request)
        answer = self._socket.recv(65536)
        while not _is_whole(answer):
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError(f"the server hung up after {answer!r}")
            answer += more
        took_s = time.perf_counter() - started_at
        if not answer.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(answer.decode(errors="replace"))
        return took_s

    def close(self) -> None:
        self._socket.close()


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    return len(body) >= int(length)


def post_for(
    duration_s: float, port: int, senders: Sequence[Sender], clients: int
) -> Load:
    """So many processes post at once, each in turn as its own share of the senders."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(clients)
    pipes, processes = [], []
    for k in range(clients):
        ours, theirs = context.Pipe(duplex=False)
        requests = [request_of(sender) for sender in senders[k::clients]]
        process = context.Process(
            target=_post, args=(port, requests, duration_s, barrier, theirs)
        )
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        found = [pipe.recv() for pipe in pipes]
    except EOFError:
        raise SystemExit("a client failed, see above") from None
    finally:
        for process in processes:
            process.join()
    latencies = [took_s for block, _ in found for took_s in block]
    return Load(latencies, max(elapsed_s for _, elapsed_s in found))


def _post(
    port: int, requests: list[bytes], duration_s: float, barrier: Barrier, pipe: Pipe
) -> None:
    connection = Connection(port)
    latencies = array("d")
    barrier.wait(TIMEOUT_S)
    started_at = time.perf_counter()
    while (now := time.perf_counter()) < started_at + duration_s:
        latencies.append(connection.post(requests[len(latencies) % len(requests)]))
    pipe.send((latencies, now - started_at))
    connection.close()
