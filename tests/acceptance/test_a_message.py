"""A message that was answered becomes a push on every other member's phone."""

from datetime import datetime

import pytest

from models.base import utc_now
from tests.support.scene import Scene


@pytest.fixture
def scene(world: Scene) -> Scene:
    world.sandbox.reset()
    return world


def test_every_device_of_the_others_is_pushed_once(scene: Scene) -> None:
    talk = scene.talk(6)

    posted = talk.post("Land in sight!")

    job = scene.wait_until_ended(talk, posted)
    assert posted.status == 201
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 6, 6)
    assert scene.pushed(talk) == dict.fromkeys(talk.tokens, 1)


def test_the_push_says_who_wrote_what(scene: Scene) -> None:
    talk = scene.talk(2)

    posted = talk.post("Grüße 🐙")
    scene.wait_until_ended(talk, posted)

    sender = f"user {posted.json['message']['sender']}"
    payloads = {push["platform"]: push for push in scene.sandbox.inbox()}
    alert = payloads["apns"]["payload"]["aps"]["alert"]
    assert alert == {"title": sender, "subtitle": "chat of 2", "body": "Grüße 🐙"}
    assert payloads["apns"]["payload"]["aps"]["thread-id"] == f"chat-{talk.chat}"
    shown = payloads["fcm"]["payload"]["notification"]
    assert shown == {"title": sender, "body": "Grüße 🐙"}


def test_the_answer_does_not_wait_for_slow_phones(scene: Scene) -> None:
    talk = scene.talk(20)
    scene.wait_until_ended(talk, talk.post("warm up"))
    scene.sandbox.control(latency_ms=1500)

    posted = talk.post("quick")
    answered_at = utc_now()

    job = scene.wait_until_ended(talk, posted)
    assert datetime.fromisoformat(job["finished_at"]) > answered_at


def test_the_same_client_id_pushes_once(scene: Scene) -> None:
    talk = scene.talk(3)

    first = talk.post(client_id="a1")
    again = talk.post(client_id="a1")
    scene.wait_until_ended(talk, first)

    assert (first.status, again.status) == (201, 200)
    assert again.json["message"] == first.json["message"]
    assert scene.pushed(talk) == dict.fromkeys(talk.tokens, 1)


def test_messages_arrive_in_the_order_they_were_written(scene: Scene) -> None:
    talk = scene.talk(3)

    posts = [talk.post(str(n)) for n in range(12)]
    for posted in posts:
        scene.wait_until_ended(talk, posted)

    for token in talk.tokens:
        arrived = [push["payload"] for push in scene.sandbox.inbox(token=token)]
        shown = [
            payload["aps"]["alert"]["body"]
            if "aps" in payload
            else payload["notification"]["body"]
            for payload in arrived
        ]
        assert shown == [str(n) for n in range(12)]


@pytest.mark.parametrize(
    ("token", "accepted", "failed"),
    [("unregistered-1", 2, 1), ("bad-token-1", 2, 1), ("payload-too-large-1", 2, 1)],
)
def test_one_bad_token_does_not_silence_the_others(
    scene: Scene, token: str, accepted: int, failed: int
) -> None:
    talk = scene.talk(3, platforms=("apns",), tokens=[token])

    posted = talk.post()

    job = scene.wait_until_ended(talk, posted)
    assert (job["accepted"], job["failed"]) == (accepted, failed)


def test_a_busy_provider_is_asked_again(scene: Scene) -> None:
    talk = scene.talk(2, platforms=("apns",), tokens=["flaky-1-x"])

    posted = talk.post()

    job = scene.wait_until_ended(talk, posted)
    assert (job["state"], job["accepted"], job["failed"]) == ("completed", 2, 0)


def test_a_dead_device_is_not_pushed_to_again(scene: Scene) -> None:
    talk = scene.talk(2, platforms=("apns",), tokens=["unregistered-2"])
    scene.wait_until_ended(talk, talk.post("first"))

    job = scene.wait_until_ended(talk, talk.post("second"))

    assert (job["total"], job["accepted"]) == (1, 1)
