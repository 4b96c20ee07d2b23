"""Senders that post until they are answered, with a client id for each message."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlsplit

POSTERS = 3
# Small conversations get most of the messages.
WEIGHTS = (60, 30, 10)
# Messages of a burst queue up behind each other in their conversation.
BURST = (1, 1, 2, 4)
BURST_PAUSE_S = (0.1, 0.6)
RETRY_S = 0.1
# A server that is stopped answers later; its senders ask again or ask another host.
POST_S = 6.0
SAVED = (200, 201)
# "Try again later".
BUSY = (429, 503)
ANSWER_S = 30.0


class Answer(NamedTuple):
    """What a sender was told about its message."""

    message: int
    chat: int
    # Plain ways have no numbers.
    seq: int


class Posters:
    """Threads that post to all hosts while the block runs; and their answers."""

    def __init__(
        self,
        urls: Sequence[str],
        senders: Mapping[int, str],
        rng: random.Random,
        supervise: Callable[[], object],
    ) -> None:
        """`senders`: conversation → the token of a member.

        `supervise` starts hosts that have ended, while the last answers are awaited.
        """
        self._supervise = supervise
        self.answers: list[Answer] = []
        # Text → when it was posted for the first time.
        self.posted_at: dict[str, float] = {}
        # Answers other than "saved" and "try again later".
        self.wrong: Counter[int] = Counter()
        # Messages that got no answer although all faults were over.
        self.unanswered = 0
        self._give_up_at = float("inf")
        self._problems: list[Exception] = []
        self._urls = urls
        self._senders = senders
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(
                target=self._run, args=(number, random.Random(rng.random()))
            )
            for number in range(POSTERS)
        ]

    def __enter__(self) -> "Posters":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Each sender goes on with its last message until it is answered."""
        self._give_up_at = time.monotonic() + ANSWER_S
        self._ended.set()
        while any(thread.is_alive() for thread in self._threads):
            self._supervise()
            time.sleep(RETRY_S)
        if self._problems:
            raise self._problems.pop()

    def _run(self, number: int, rng: random.Random) -> None:
        try:
            self._post_all(number, rng)
        except Exception as problem:
            # A run without senders would find nothing wrong.
            self._problems.append(problem)

    def _post_all(self, number: int, rng: random.Random) -> None:
        count = 0
        while not self._ended.is_set():
            chat = rng.choices(list(self._senders), weights=WEIGHTS)[0]
            for _ in range(rng.choice(BURST)):
                if self._ended.is_set():
                    break
                self._post(chat, f"message-{number}-{count}", rng)
                count += 1
            self._ended.wait(rng.uniform(*BURST_PAUSE_S))

    def _post(self, chat: int, text: str, rng: random.Random) -> None:
        """Post until it is saved; the client id keeps it from being saved twice."""
        body = {"conversation": chat, "message": text, "client_id": text}
        with self._lock:
            self.posted_at[text] = time.time()
        while time.monotonic() < self._give_up_at:
            with suppress(OSError, ValueError, HTTPException):
                if self._is_saved(rng.choice(self._urls), chat, body):
                    return
            time.sleep(RETRY_S)
        with self._lock:
            self.unanswered += 1

    def _is_saved(self, url: str, chat: int, body: Mapping[str, object]) -> bool:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=POST_S)
        try:
            connection.request(
                "POST",
                "/groupchat/send",
                json.dumps(body),
                {
                    "Authorization": f"Bearer {self._senders[chat]}",
                    "Content-Type": "application/json",
                },
            )
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        with self._lock:
            if reply.status in SAVED:
                message = json.loads(content)["message"]
                self.answers.append(Answer(message["id"], chat, message.get("seq", 0)))
                return True
            if reply.status not in BUSY:
                self.wrong[reply.status] += 1
        return False
