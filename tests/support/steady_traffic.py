"""Messages that are posted one after another, to whichever server is chosen."""

import threading
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from tests.support.client import Client
from tests.support.running_system import Conversation
from tests.support.sandbox import Sandbox
from tests.support.server import Server

SECRET = "confidential"


@dataclass(frozen=True)
class Posted:
    """A message that was answered."""

    id: int
    server: Server


class SteadyTraffic:
    """Posts to a conversation until the end of the block, some ms after each answer."""

    def __init__(
        self, server: Server, conversation: Conversation, pause_s: float = 0.02
    ) -> None:
        self.server = server
        self.posted: list[Posted] = []
        self._conversation = conversation
        self._pause_s = pause_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def answered_by(self, server: Server) -> set[int]:
        return {each.id for each in list(self.posted) if each.server is server}

    def __enter__(self) -> "SteadyTraffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(60)

    def _run(self) -> None:
        clients: dict[Server, Client] = {}
        while not self._ending.wait(self._pause_s):
            server = self.server
            client = clients.setdefault(
                server, Client(server.url, self._conversation.sender.token)
            )
            body = {"conversation": self._conversation.id, "message": SECRET}
            with suppress(OSError, HTTPException):
                answer = client.post("/groupchat/send", body)
                if answer.status == 201:
                    message: dict[str, Any] = answer.json["message"]
                    self.posted.append(Posted(message["id"], server))


def pushes_of(
    sandbox: Sandbox, messages: set[int], tokens: set[str]
) -> dict[int, list[dict[str, Any]]]:
    """The APNs pushes of these messages to these devices, in order of arrival."""
    found: dict[int, list[dict[str, Any]]] = {message: [] for message in messages}
    for push in sandbox.inbox(limit=200_000):
        payload = push["payload"]
        message = payload.get("bottlepost", {}).get("message")
        if push["token"] in tokens and message in messages:
            found[message].append(push)
    return found


def shows_text(push: dict[str, Any]) -> bool:
    return SECRET in str(push["payload"])
