"""The hostile ones, each with a harmless one that asks for as much work."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

from benchmarks.isolation import acts
from benchmarks.isolation.acts import acting
from benchmarks.isolation.stage import Chat, Stage, checked, to_text
from tests.support.h2_peer import PeerRequest

STRANGE = "127.0.0.9"
SEATS = 20_000
POLLS = 200

Act = Callable[[Stage], AbstractContextManager[None]]


class Row(NamedTuple):
    hostile: Act
    # The same requests and pushes, but well-behaved.
    harmless: Act


def _device(platform: str, *names: str) -> Act:
    """One conversation with these devices, with a message each half second."""

    @contextmanager
    def act(stage: Stage) -> Iterator[None]:
        tokens = [
            (platform, stage.subscription(name) if platform == "webpush" else name)
            for name in names
        ]
        chat = stage.chat(names[0], tokens)
        with acting(acts.post, stage.server.port, [chat], 2.0):
            yield

    return act


def _endpoint(serve: Callable[[int], None]) -> Act:
    """A member of many conversations, with an endpoint of its own."""

    @contextmanager
    def act(stage: Stage) -> Iterator[None]:
        chats = _tarpit_chats(stage)
        with ExitStack() as stack:
            stack.enter_context(acting(serve, stage.port))
            port = stage.server.port
            stack.enter_context(acting(acts.post, port, chats, 5.0, len(chats)))
            yield

    return act


def _tarpit_chats(stage: Stage) -> list[Chat]:
    if not stage.tarpits:
        subscription = stage.sandbox.subscribe(name="tarpit")
        subscription["endpoint"] = f"https://localhost:{stage.port}/tarpit"
        token = to_text(subscription)
        member = stage.member("tarpit", "webpush", token)
        _, sender = stage.server.user("tarpit sender")
        assert sender.token is not None
        for number in range(stage.conversations):
            body = {"name": f"tarpit {number}", "members": [member]}
            chat = checked(sender.post("/groupchat", body))["id"]
            stage.tarpits.append(Chat(chat, sender.token, {"webpush": token}))
    return stage.tarpits


def _react(react: Callable[[PeerRequest], None]) -> Act:
    return _endpoint(partial(acts.serve, react=react))


def _pipeline(*, reads: bool) -> Act:
    asked = acts.request("", "/openapi.json") * 100

    def act(stage: Stage) -> AbstractContextManager[None]:
        work = partial(acts.pipeline, reads=reads)
        return acting(work, stage.server.port, 80, asked)

    return act


def _uploads(per_second: int) -> Act:
    """Bodies of a megabyte; `per_second` bytes of each arrive in a second."""

    def act(stage: Stage) -> AbstractContextManager[None]:
        user, client = stage.server.user("upload")
        body = json.dumps({"name": "crew", "members": [user] * 200_000}).encode()
        head = acts.request(client.token or "", "/groupchat", {}).rpartition(b"Con")[0]
        head += b"Content-Length: %d\r\n\r\n" % len(body)
        return acting(acts.drip, stage.server.port, 16, head, body, per_second)

    return act


def _seats(number: int) -> Act:
    """A user who begins conversations with this number of strangers."""

    def act(stage: Stage) -> AbstractContextManager[None]:
        _, client = stage.server.user("seats")
        body = {"name": "crowd", "members": stage.strangers(SEATS)[:number]}
        asked = acts.request(client.token or "", "/groupchat", body)
        return acting(acts.repeat, stage.server.port, asked, 2.0)

    return act


def _poll(wait_s: int) -> Act:
    """Many connections on which a user asks for new messages, again and again."""

    def act(stage: Stage) -> AbstractContextManager[None]:
        _, client = stage.server.user("polls")
        chat = checked(client.post("/groupchat", {"name": "polls"}))["id"]
        path = f"/groupchat/{chat}/messages?wait={wait_s}&after=0"
        asked = acts.request(client.token or "", path)
        return acting(acts.hold, stage.server.port, POLLS, asked)

    return act


def _guess(*, is_wrong: bool) -> Act:
    def act(stage: Stage) -> AbstractContextManager[None]:
        key = "x" * 32 if is_wrong else stage.server.service_key
        asked = acts.request(key, "/users/1/devices")
        # The address of the guesses is refused the service key for a while.
        return acting(acts.repeat, stage.server.port, asked, 200.0, STRANGE)

    return act


def _nothing(stage: Stage) -> AbstractContextManager[None]:
    return ExitStack()


def _idle(stage: Stage) -> AbstractContextManager[None]:
    return acting(acts.hold, stage.server.port, 500, b"GET / HTTP/1.1\r\n")


ROWS = {
    "a browser that answers 403": Row(
        _device("webpush", "answer-403-a"), _device("webpush", "well-403")
    ),
    "a browser that answers 401": Row(
        _device("webpush", "answer-401-a"), _device("webpush", "well-401")
    ),
    "four phones that answer 500": Row(
        _device("fcm", *(f"500-{number}" for number in range(4))),
        _device("fcm", *(f"well-500-{number}" for number in range(4))),
    ),
    "a phone that never answers": Row(
        _device("fcm", "hang-a"), _device("fcm", "well-hang")
    ),
    "a push service that never answers": Row(
        _react(acts.keep_silent), _react(acts.answer)
    ),
    "a push service that takes 9 s": Row(_react(acts.answer_late), _react(acts.answer)),
    "a push service without TLS": Row(_endpoint(acts.accept_only), _react(acts.answer)),
    "a push service that floods": Row(_react(acts.flood), _react(acts.answer)),
    "80 clients that do not read": Row(_pipeline(reads=False), _pipeline(reads=True)),
    "16 uploads of 8 bytes a second": Row(_uploads(8), _uploads(100_000)),
    "a user who adds strangers": Row(_seats(SEATS), _seats(10)),
    "200 long polls of one user": Row(_poll(25), _poll(0)),
    "guesses of the service key": Row(_guess(is_wrong=True), _guess(is_wrong=False)),
    "500 idle connections": Row(_idle, _nothing),
}
QUICK = (
    "a browser that answers 403",
    "a push service that never answers",
    "80 clients that do not read",
)
