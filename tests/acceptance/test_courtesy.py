"""Delayed, expired, deleted and muted pushes, and their order."""

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.base import utc_now
from tests.support import push_processes
from tests.support.running_system import FAST, RunningSystem
from tests.support.server import Server, free_port
from tests.support.wait import until


@pytest.fixture
def system(world: RunningSystem) -> RunningSystem:
    world.sandbox.control(reset=True)
    return world


def shown(system: RunningSystem, token: str | None = None) -> list[str]:
    """The texts that phones have shown, ordered by arrival."""
    query: dict[str, Any] = {} if token is None else {"token": token}
    payloads = [push["payload"] for push in system.sandbox.inbox(**query)]
    texts = []
    for payload in payloads:
        apple = payload.get("aps", {}).get("alert", {})
        google = payload.get("notification", {})
        # Android's text says who has written it.
        googles = google.get("body", "").split(": ")[-1]
        texts += filter(None, [apple.get("body"), googles])
    return texts


def test_a_delayed_push_arrives_at_its_time(system: RunningSystem) -> None:
    conversation = system.conversation(4)
    moment = utc_now() + timedelta(seconds=4)

    posted = conversation.post("later", deliver_after=moment.isoformat())
    prompt = conversation.post("now")
    system.wait_until_ended(conversation, prompt)
    job = system.wait_until_ended(conversation, posted)

    assert (job["state"], job["accepted"]) == ("completed", 4)
    arrived = defaultdict(list)
    for push in system.sandbox.inbox():
        arrived[push["token"]].append(datetime.fromisoformat(push["arrived_at"]))
    for token in conversation.tokens:
        # A delayed push does not delay the others.
        assert shown(system, token) == ["now", "later"]
        assert arrived[token][1] >= moment


def test_an_expired_push_is_dropped(system: RunningSystem) -> None:
    conversation = system.conversation(4, platforms=("apns",))
    system.sandbox.control(outage={"apns": "503"})

    posted = conversation.post("lunch?", ttl=1)
    job = system.wait_until_ended(conversation, posted)
    system.sandbox.control(outage={"apns": None})
    system.wait_until_ended(conversation, conversation.post("dinner?"))

    assert (job["accepted"], job["failed"], job["pending"]) == (0, 4, 0)
    assert shown(system) == ["dinner?"] * 4


def test_a_message_deleted_before_its_push_is_never_shown(
    system: RunningSystem,
) -> None:
    conversation = system.conversation(4)
    moment = utc_now() + timedelta(seconds=4)

    posted = conversation.post("oh no", deliver_after=moment.isoformat())
    message = posted.json["message"]["id"]
    deleted = conversation.sender.delete(
        f"/groupchat/{conversation.id}/messages/{message}"
    )
    job = system.wait_until_ended(conversation, posted)
    system.wait_until_ended(conversation, conversation.post("well"))

    assert deleted.status in (200, 204)
    assert (job["accepted"], job["pending"]) == (0, 0)
    assert shown(system) == ["well"] * 4


def test_a_muted_conversation_pushes_only_mentions(
    system: RunningSystem,
) -> None:
    conversation = system.conversation(1)
    listed = conversation.sender.get(f"/groupchat/{conversation.id}").json["members"]
    member = max(listed)
    made = system.server.client.post(f"/users/{member}/tokens").json
    muter = system.server.client.as_user(made["token"])
    until_then = (utc_now() + timedelta(hours=1)).isoformat()

    muted = muter.put(f"/groupchat/{conversation.id}/mute", {"until": until_then})
    system.wait_until_ended(conversation, conversation.post("all"))
    system.wait_until_ended(conversation, conversation.post("you", mentions=[member]))
    muter.put(f"/groupchat/{conversation.id}/mute", {"until": None})
    system.wait_until_ended(conversation, conversation.post("again"))

    assert muted.status in (200, 204)
    assert shown(system) == ["you", "again"]


def test_two_processes_keep_the_order_of_every_conversation(
    system: RunningSystem, tmp_path: Path
) -> None:
    """Two hosts on one database, each with its own PushProcess."""
    environment = {
        **system.server.environment,
        **FAST,
        "BOTTLEPOST_RUN_DIR": str(tmp_path),
        "BOTTLEPOST_DATABASE_URL": system.store.url.render_as_string(
            hide_password=False
        ),
    }
    del environment["BOTTLEPOST_PORT"]
    conversations = [system.conversation(3) for _ in range(4)]
    system.sandbox.control(latency_ms=20)

    with Server(tmp_path, environment | {"BOTTLEPOST_PORT": str(free_port())}) as other:
        hosts = [system.server, other]
        warm_up = system.conversation(2)
        other.client.as_user(warm_up.sender.token or "").post(
            "/groupchat/send", {"conversation": warm_up.id, "message": "warm up"}
        )
        until(lambda: push_processes.owners(tmp_path), what="for the other's process")
        posts = []
        for number in range(12):
            for conversation in conversations:
                sender = hosts[number % 2].client.as_user(
                    conversation.sender.token or ""
                )
                body = {"conversation": conversation.id, "message": str(number)}
                posts.append((conversation, sender.post("/groupchat/send", body)))
        workers = {*system.push_processes(), *push_processes.owners(tmp_path)}
        for conversation, posted in posts:
            system.wait_until_ended(conversation, posted)
    push_processes.end_all(tmp_path)

    assert len(workers) >= 2
    for token in set().union(*(conversation.tokens for conversation in conversations)):
        assert shown(system, token) == [str(number) for number in range(12)]
