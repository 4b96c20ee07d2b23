"""A running server with its sandbox and database, and conversations to post to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import database_url
from datastore import Datastore
from tests.support import chats, push_processes
from tests.support.client import Client, Reply
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.wait import until

# A short watchdog interval, and processes that stay warm during a test.
FAST = {"BOTTLEPOST_WATCHDOG_S": "0.3", "BOTTLEPOST_PUSH_LINGER_S": "60"}
# For tests in which a killed engine has no slot, so that its lease has to expire.
SHORT_LEASE = {"BOTTLEPOST_LEASE_S": "4"}


@dataclass
class Conversation:
    """A conversation and its sender."""

    id: int
    sender: Client
    # The device tokens of all members but the sender.
    tokens: set[str]

    def post(self, text: str = "hello", **more: Any) -> Reply:
        body = {"conversation": self.id, "message": text, **more}
        return self.sender.post("/groupchat/send", body)


class RunningSystem:
    """A server, its sandbox and its database, as a user would run them."""

    def __init__(self, run_dir: Path, server: Server, sandbox: Sandbox) -> None:
        self.run_dir = run_dir
        self.server = server
        self.sandbox = sandbox
        url = server.environment.get(
            "BOTTLEPOST_DATABASE_URL", database_url.of_file(run_dir / "bottlepost.db")
        )
        self.store = Datastore(url)

    def conversation(
        self,
        members: int,
        *,
        platforms: Sequence[str] = ("apns", "fcm"),
        tokens: Sequence[str] = (),
    ) -> Conversation:
        """Create a conversation whose members have one device each."""
        chat = chats.make_chat(self.store, members, platforms=platforms, tokens=tokens)
        user = chats.sender_of(self.store, chat)
        made = self.server.client.post(f"/users/{user}/tokens").json
        return Conversation(
            chat,
            self.server.client.as_user(made["token"]),
            chats.tokens_of(self.store, chat),
        )

    def job(self, conversation: Conversation, posted: Reply) -> dict[str, Any]:
        found: dict[str, Any] = conversation.sender.get(posted.json["job"]["url"]).json
        return found

    def wait_until_ended(
        self, conversation: Conversation, posted: Reply, timeout_s: float = 120
    ) -> dict[str, Any]:
        """Wait until the job is completed or failed, and return it."""

        def ended() -> dict[str, Any] | None:
            job = self.job(conversation, posted)
            return job if job["state"] in ("completed", "failed") else None

        found = until(ended, timeout_s, what="for the job to end")
        assert found is not None
        return found

    def pushed(self, *conversations: Conversation) -> Counter[str]:
        """How often each device of the conversations has accepted a push."""
        ours = set().union(*(conversation.tokens for conversation in conversations))
        inbox = self.sandbox.inbox(limit=200_000)
        return Counter(push["token"] for push in inbox if push["token"] in ours)

    def push_processes(self) -> list[int]:
        return push_processes.living(self.run_dir)
