"""Delayed, expired, deleted and muted pushes, and their order."""

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.base import utc_now
from tests.support import push_processes
from tests.support.scene import FAST, Scene
from tests.support.server import Server, free_port
from tests.support.wait import until


@pytest.fixture
def scene(world: Scene) -> Scene:
    world.sandbox.control(reset=True)
    return world


def shown(scene: Scene, token: str | None = None) -> list[str]:
    """The texts that phones have shown, ordered by arrival."""
    query: dict[str, Any] = {} if token is None else {"token": token}
    payloads = [push["payload"] for push in scene.sandbox.inbox(**query)]
    texts = []
    for payload in payloads:
        apple = payload.get("aps", {}).get("alert", {})
        google = payload.get("notification", {})
        texts += filter(None, [apple.get("body"), google.get("body")])
    return texts


def test_a_delayed_push_arrives_at_its_time(scene: Scene) -> None:
    talk = scene.talk(4)
    moment = utc_now() + timedelta(seconds=4)

    posted = talk.post("later", deliver_after=moment.isoformat())
    prompt = talk.post("now")
    scene.wait_until_ended(talk, prompt)
    job = scene.wait_until_ended(talk, posted)

    assert (job["state"], job["accepted"]) == ("completed", 4)
    arrived = defaultdict(list)
    for push in scene.sandbox.inbox():
        arrived[push["token"]].append(datetime.fromisoformat(push["arrived_at"]))
    for token in talk.tokens:
        # A delayed push does not delay the others.
        assert shown(scene, token) == ["now", "later"]
        assert arrived[token][1] >= moment


def test_an_expired_push_is_dropped(scene: Scene) -> None:
    talk = scene.talk(4, platforms=("apns",))
    scene.sandbox.control(outage={"apns": "503"})

    posted = talk.post("lunch?", ttl=1)
    job = scene.wait_until_ended(talk, posted)
    scene.sandbox.control(outage={"apns": None})
    scene.wait_until_ended(talk, talk.post("dinner?"))

    assert (job["accepted"], job["failed"], job["pending"]) == (0, 4, 0)
    assert shown(scene) == ["dinner?"] * 4


def test_a_message_deleted_before_its_push_is_never_shown(scene: Scene) -> None:
    talk = scene.talk(4)
    moment = utc_now() + timedelta(seconds=4)

    posted = talk.post("oh no", deliver_after=moment.isoformat())
    message = posted.json["message"]["id"]
    deleted = talk.sender.delete(f"/groupchat/{talk.chat}/messages/{message}")
    job = scene.wait_until_ended(talk, posted)
    scene.wait_until_ended(talk, talk.post("well"))

    assert deleted.status in (200, 204)
    assert (job["accepted"], job["pending"]) == (0, 0)
    assert shown(scene) == ["well"] * 4


def test_a_muted_conversation_pushes_only_mentions(
    scene: Scene,
) -> None:
    talk = scene.talk(1)
    listed = talk.sender.get(f"/groupchat/{talk.chat}").json["members"]
    member = max(listed)
    made = scene.server.client.post(f"/users/{member}/tokens").json
    muter = scene.server.client.as_user(made["token"])
    until_then = (utc_now() + timedelta(hours=1)).isoformat()

    muted = muter.put(f"/groupchat/{talk.chat}/mute", {"until": until_then})
    scene.wait_until_ended(talk, talk.post("all"))
    scene.wait_until_ended(talk, talk.post("you", mentions=[member]))
    muter.put(f"/groupchat/{talk.chat}/mute", {"until": None})
    scene.wait_until_ended(talk, talk.post("again"))

    assert muted.status in (200, 204)
    assert shown(scene) == ["you", "again"]


def test_two_processes_keep_the_order_of_every_conversation(
    scene: Scene, tmp_path: Path
) -> None:
    """Two hosts on one database, each with its own PushProcess."""
    environment = {
        **scene.server.environment,
        **FAST,
        "BOTTLEPOST_RUN_DIR": str(tmp_path),
        "BOTTLEPOST_DATABASE_URL": scene.store.url.render_as_string(
            hide_password=False
        ),
    }
    del environment["BOTTLEPOST_PORT"]
    talks = [scene.talk(3) for _ in range(4)]
    scene.sandbox.control(latency_ms=20)

    with Server(tmp_path, environment | {"BOTTLEPOST_PORT": str(free_port())}) as other:
        hosts = [scene.server, other]
        warm_up = scene.talk(2)
        other.client.as_user(warm_up.sender.token or "").post(
            "/groupchat/send", {"conversation": warm_up.chat, "message": "warm up"}
        )
        until(lambda: push_processes.owners(tmp_path), what="for the other's process")
        posts = []
        for number in range(12):
            for talk in talks:
                sender = hosts[number % 2].client.as_user(talk.sender.token or "")
                body = {"conversation": talk.chat, "message": str(number)}
                posts.append((talk, sender.post("/groupchat/send", body)))
        workers = {*scene.push_processes(), *push_processes.owners(tmp_path)}
        for talk, posted in posts:
            scene.wait_until_ended(talk, posted)
    push_processes.end_all(tmp_path)

    assert len(workers) >= 2
    for token in set().union(*(talk.tokens for talk in talks)):
        assert shown(scene, token) == [str(number) for number in range(12)]
