"""Honest members: they post at a fixed rate, and their pushes are waited for."""

import json
import multiprocessing
import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from benchmarks.clients import LoadConnection, LoadSender, request_of
from benchmarks.isolation.stage import Stage

SENDERS = 4
PER_SECOND = 20.0
IMPORT_EVERY_S = 1.0
ANSWER_S = 20.0
# A push that comes later counts as not delivered.
DELIVERED_S = 30.0
LOOK_S = 0.05


class Post(NamedTuple):
    """One send; `message` is None if it was refused or not answered."""

    message: int | None
    # When it was to be sent: a sender that is held up may not hide it.
    due_at: float
    answered_at: float


class Seen(NamedTuple):
    """What honest members saw during one turn."""

    answer_s: list[float]
    # Small imports by the service, one after the other.
    import_s: list[float]
    push_s: list[float]
    failed: int
    # Pushes of saved messages that never came.
    undelivered: int


class Honest:
    """Senders in processes of their own; `finish` waits for the last push."""

    def __init__(self, stage: Stage) -> None:
        self._port = stage.server.port
        self._service_key = stage.server.service_key
        self._chats = stage.honest
        self._arrivals = Arrivals(stage.journal)

    def run(self, seconds: float) -> Seen:
        results = self._work(seconds)
        imports = results.pop()
        posts = [post for found in results for post in found]
        done = [each.answered_at - each.due_at for each in imports if each.message]
        sent = {post.message: post for post in posts if post.message is not None}
        devices = len(self._chats[0].devices)
        arrived = self._arrivals.wait(sent.keys(), devices)
        return Seen(
            answer_s=[post.answered_at - post.due_at for post in sent.values()],
            import_s=done,
            push_s=[
                at - sent[message].due_at
                for message, times in arrived.items()
                for at in times
            ],
            failed=len(posts) - len(sent) + len(imports) - len(done),
            undelivered=len(sent) * devices - sum(map(len, arrived.values())),
        )

    def _work(self, seconds: float) -> list[list[Post]]:
        """What each sender has posted, and last what was imported."""
        context = multiprocessing.get_context("fork")
        begin_at = time.time() + 0.2
        works: list[tuple[list[bytes], float, float]] = []
        for number in range(SENDERS):
            chats = self._chats[number::SENDERS]
            requests = [request_of(LoadSender(chat.sender, chat.id)) for chat in chats]
            first_at = begin_at + number / PER_SECOND
            works.append((requests, first_at, SENDERS / PER_SECOND))
        works.append(([_import(self._service_key)], begin_at, IMPORT_EVERY_S))
        pipes, processes = [], []
        for work in works:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_send, args=(self._port, *work, begin_at + seconds, theirs)
            )
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        found = [pipe.recv() for pipe in pipes]
        for process in processes:
            process.join()
        return found


def _import(service_key: str) -> bytes:
    body = b'{"type": "user", "external_id": "honest", "name": "Ann"}\n' * 100
    head = (
        "POST /import HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {service_key}\r\n"
        "Content-Type: application/x-ndjson\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _send(
    port: int,
    requests: Sequence[bytes],
    first_at: float,
    interval_s: float,
    ends_at: float,
    pipe: Connection,
) -> None:
    posts: list[Post] = []
    connection: LoadConnection | None = None
    while (due_at := first_at + len(posts) * interval_s) < ends_at:
        time.sleep(max(due_at - time.time(), 0))
        message = None
        try:
            connection = connection or LoadConnection(port, ANSWER_S)
            answer = connection.exchange(requests[len(posts) % len(requests)])
            message = _number(answer)
        except (OSError, RuntimeError, ValueError):
            connection = None
        posts.append(Post(message, due_at, time.time()))
    pipe.send(posts)


def _number(answer: bytes) -> int:
    """The message's id; of an import, its job's."""
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    return int(found["message"]["id"] if "message" in found else found["job"]["id"])


class Arrivals:
    """When each honest push reached the sandbox, from its journal."""

    def __init__(self, journal: Path) -> None:
        self._file = journal.open()
        self._rest = ""
        # Message → (provider, token) → its first arrival.
        self._seen: dict[int, dict[tuple[str, str], float]] = {}

    def wait(self, messages: Iterable[int], devices: int) -> dict[int, list[float]]:
        """The arrivals of these messages, when all have come or it is too late."""
        ends_at = time.monotonic() + DELIVERED_S
        wanted = set(messages)
        while time.monotonic() < ends_at:
            self._read()
            if all(len(self._seen.get(each, ())) >= devices for each in wanted):
                break
            time.sleep(LOOK_S)
        return {each: list(self._seen.get(each, {}).values()) for each in wanted}

    def _read(self) -> None:
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            _, at, provider, _, token, _, mark, _, body, *_ = json.loads(line)
            message = (
                json.loads(body)["bottlepost"]["message"]
                if provider == "webpush"
                else int(mark.rpartition("-")[2])
            )
            self._seen.setdefault(int(message), {}).setdefault((provider, token), at)
