"""Load clients that post over keep-alive connections and use little CPU themselves."""

import json
import multiprocessing
import socket
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

TIMEOUT_S = 60


class LoadSender(NamedTuple):
    """A user's token and a conversation to post to."""

    token: str
    conversation: int


class Answer(NamedTuple):
    """A message that was answered, and when; every process has the same clock."""

    message_id: int
    sent_at: float
    answered_at: float


class Load(NamedTuple):
    """The result of posting for some seconds."""

    answers: list[Answer]
    elapsed_s: float

    @property
    def latencies_s(self) -> list[float]:
        return [answer.answered_at - answer.sent_at for answer in self.answers]

    @property
    def message_ids(self) -> set[int]:
        return {answer.message_id for answer in self.answers}

    @property
    def per_second(self) -> float:
        return len(self.answers) / self.elapsed_s


def request_of(sender: LoadSender) -> bytes:
    """A complete POST /groupchat/send, built once and sent many times."""
    body = json.dumps({"conversation": sender.conversation, "message": "Land in sight"})
    return (
        "POST /groupchat/send HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {sender.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class LoadConnection:
    """A keep-alive connection to a server on this machine."""

    def __init__(
        self, port: int, timeout_s: float = TIMEOUT_S, source: str = ""
    ) -> None:
        self._socket = socket.create_connection(
            ("127.0.0.1", port), timeout_s, (source, 0)
        )
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, request: bytes) -> float:
        """Seconds until the complete response; any status but 201 ends the run."""
        started_at = time.perf_counter()
        self.exchange(request)
        return time.perf_counter() - started_at

    def exchange(self, request: bytes) -> bytes:
        """The complete response; any status but 201 and 202 ends the run."""
        self._socket.sendall(request)
        response = self._socket.recv(65536)
        while not _is_whole(response):
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError(
                    f"the server closed the connection after {response!r}"
                )
            response += more
        if not response.startswith((b"HTTP/1.1 201", b"HTTP/1.1 202")):
            raise RuntimeError(response.decode(errors="replace"))
        return response

    def close(self) -> None:
        self._socket.close()


def _is_whole(response: bytes) -> bool:
    head, end, body = response.partition(b"\r\n\r\n")
    if not end:
        return False
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    return len(body) >= int(length)


def message_id(response: bytes) -> int:
    found: int = json.loads(response.partition(b"\r\n\r\n")[2])["message"]["id"]
    return found


def post_for(
    duration_s: float,
    port: int,
    senders: Sequence[LoadSender],
    clients: int,
    *,
    per_second: float = 0.0,
) -> Load:
    """Post from several processes at once, each with its own share of the senders.

    They post at the given rate, or by default as fast as they get answers.
    """
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(clients)
    pipes, processes = [], []
    for k in range(clients):
        ours, theirs = context.Pipe(duplex=False)
        requests = [request_of(sender) for sender in senders[k::clients]]
        # The clients post in turn, at equal distances.
        pace = (k / per_second, clients / per_second) if per_second else (0.0, 0.0)
        process = context.Process(
            target=_post, args=(port, requests, duration_s, pace, barrier, theirs)
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
    answers = [Answer(*times) for block, _ in found for times in block]
    return Load(answers, max(elapsed_s for _, elapsed_s in found))


def _post(
    port: int,
    requests: list[bytes],
    duration_s: float,
    pace: tuple[float, float],
    barrier: Barrier,
    pipe: Connection,
) -> None:
    connection = LoadConnection(port)
    answered: list[tuple[bytes, float, float]] = []
    first_s, interval_s = pace
    barrier.wait(TIMEOUT_S)
    started_at = now = time.monotonic()
    while True:
        due_at = started_at + first_s + len(answered) * interval_s
        if max(due_at, now) >= started_at + duration_s:
            break
        if due_at > now:
            time.sleep(due_at - now)
        sent_at = time.monotonic()
        response = connection.exchange(requests[len(answered) % len(requests)])
        now = time.monotonic()
        answered.append((response, sent_at, now))
    # The responses are read now, so that the clients leave the server its CPU.
    pipe.send(([(message_id(found), *at) for found, *at in answered], now - started_at))
    connection.close()
