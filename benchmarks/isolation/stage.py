"""A running server with its sandbox, honest conversations and hostile accounts."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from config import database_url
from datastore import Datastore
from models.chats import Member
from tests.support import chats, tls
from tests.support import sandbox as sandboxes
from tests.support.client import Client, Reply
from tests.support.server import Server, free_port

HONEST_CHATS = 8
CONVERSATIONS = 300
PLATFORMS = ("apns", "fcm", "webpush")
SETTINGS = {
    # Every retry within a turn, so that it is seen what they do to others.
    "BOTTLEPOST_WATCHDOG_S": "1",
    "BOTTLEPOST_PUSH_LINGER_S": "300",
}


@dataclass(frozen=True)
class Chat:
    """A conversation, its sender's token, and its devices' tokens by platform."""

    id: int
    sender: str
    devices: dict[str, str]


class Stage:
    """Closes everything it has started."""

    def __init__(self, *, conversations: int = CONVERSATIONS) -> None:
        """`conversations` of the member with an endpoint of its own."""
        self.conversations = conversations
        # Made when needed.
        self.tarpits: list[Chat] = []
        self._strangers: list[int] = []
        self._stack = ExitStack()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="bottlepost-isolation-"))
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        self.journal = directory / "journal"
        self.sandbox = self._stack.enter_context(
            sandboxes.running(directory / "sandbox", journal=self.journal)
        )
        # Where a hostile row may listen.
        self.port = free_port()
        ca_file = directory / "ca.pem"
        trusted = self.sandbox.ca_file, tls.authority().ca_file
        ca_file.write_bytes(b"".join(each.read_bytes() for each in trusted))
        allowed = self.sandbox.environment.get("BOTTLEPOST_WEBPUSH_ALLOW", "")
        self.server = self._stack.enter_context(
            Server(
                directory,
                {
                    **SETTINGS,
                    **self.sandbox.environment,
                    "BOTTLEPOST_CA_FILE": str(ca_file),
                    "BOTTLEPOST_VAPID_SUBJECT": "mailto:ops@example.org",
                    "BOTTLEPOST_WEBPUSH_ALLOW": f"{allowed},localhost:{self.port}",
                },
            )
        )
        self.honest = [self.chat(f"honest-{number}") for number in range(HONEST_CHATS)]

    @property
    def client(self) -> Client:
        """With the service key."""
        return self.server.client

    def chat(self, name: str, tokens: Sequence[tuple[str, str]] | None = None) -> Chat:
        """A conversation of a sender and one member for each (platform, token)."""
        tokens = tokens or [(each, self._token(each, name)) for each in PLATFORMS]
        _, as_sender = self.server.user(f"{name} sender")
        members = [self.member(name, platform, token) for platform, token in tokens]
        body = {"name": name, "members": members}
        made = checked(as_sender.post("/groupchat", body))
        assert as_sender.token is not None
        return Chat(made["id"], as_sender.token, dict(tokens))

    def member(self, name: str, platform: str, token: str) -> int:
        number, client = self.server.user(f"{name} {platform}")
        checked(client.post("/devices", {"platform": platform, "token": token}))
        return number

    def _token(self, platform: str, name: str) -> str:
        if platform == "webpush":
            return self.subscription(name)
        return name.encode().hex().ljust(64, "0") if platform == "apns" else name

    def strangers(self, number: int) -> list[int]:
        """Users with a device each, who know nobody."""
        if not self._strangers:
            url = database_url.of_file(self.server.run_dir / "bottlepost.db")
            with closing(Datastore(url)) as store:
                chat = chats.make_chat(store, number)
                with store.read() as session:
                    users = select(Member.user_id).where(Member.chat_id == chat)
                    self._strangers = list(session.scalars(users))
        return self._strangers

    def subscription(self, name: str) -> str:
        """A browser's, at the sandbox; a name such as "answer-403" is its fault."""
        return to_text(self.sandbox.subscribe(name=name))

    def close(self) -> None:
        self._stack.close()


def checked(reply: Reply) -> Any:
    if reply.status not in (200, 201):
        raise SystemExit(f"answered {reply.status}: {reply.body!r}")
    return reply.json


def to_text(subscription: dict[str, Any]) -> str:
    """The token of a browser's device."""
    return json.dumps(subscription)
