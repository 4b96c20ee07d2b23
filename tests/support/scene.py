"""A server with its sandbox and database, and conversations to post to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datastore import Datastore
from tests.support import chats, push_processes
from tests.support.client import Client, Reply
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.wait import until

# Looks that a test does not have to wait long for, and processes that stay warm.
FAST = {"BOTTLEPOST_WATCHDOG_S": "0.3", "BOTTLEPOST_PUSH_LINGER_S": "60"}
# For those who die without a slot that others see them by: the lease has to run out.
SHORT_LEASE = {"BOTTLEPOST_LEASE_S": "4"}


@dataclass
class Talk:
    """A conversation and its sender."""

    chat: int
    sender: Client
    # Devices of everybody but the sender.
    tokens: set[str]

    def post(self, text: str = "hello", **more: Any) -> Reply:
        body = {"conversation": self.chat, "message": text, **more}
        return self.sender.post("/groupchat/send", body)


class Scene:
    """Everything running, as a user would have it."""

    def __init__(self, run_dir: Path, server: Server, sandbox: Sandbox) -> None:
        self.run_dir = run_dir
        self.server = server
        self.sandbox = sandbox
        url = server.environment.get(
            "BOTTLEPOST_DATABASE_URL", f"sqlite:///{run_dir}/bottlepost.db"
        )
        self.store = Datastore(url)

    def talk(
        self,
        members: int,
        *,
        platforms: Sequence[str] = ("apns", "fcm"),
        tokens: Sequence[str] = (),
    ) -> Talk:
        """A new conversation of so many members with a device each."""
        chat = chats.make_chat(self.store, members, platforms=platforms, tokens=tokens)
        user = chats.sender_of(self.store, chat)
        made = self.server.client.post(f"/users/{user}/tokens").json
        return Talk(
            chat,
            self.server.client.as_user(made["token"]),
            chats.tokens_of(self.store, chat),
        )

    def job(self, talk: Talk, posted: Reply) -> dict[str, Any]:
        found: dict[str, Any] = talk.sender.get(posted.json["job"]["url"]).json
        return found

    def wait_until_ended(
        self, talk: Talk, posted: Reply, timeout_s: float = 120
    ) -> dict[str, Any]:
        """The job, once it is completed or failed."""

        def ended() -> dict[str, Any] | None:
            job = self.job(talk, posted)
            return job if job["state"] in ("completed", "failed") else None

        found = until(ended, timeout_s, what="for the job to end")
        assert found is not None
        return found

    def pushed(self, *talks: Talk) -> Counter[str]:
        """How often each device of the conversations has accepted a push."""
        ours = set().union(*(talk.tokens for talk in talks))
        inbox = self.sandbox.inbox(limit=200_000)
        return Counter(push["token"] for push in inbox if push["token"] in ours)

    def push_processes(self) -> list[int]:
        return push_processes.living(self.run_dir)
