"""A message that was answered becomes a push on every other member's phone."""

from datetime import datetime

import pytest

from models.base import utc_now
from tests.support.running_system import RunningSystem


@pytest.fixture
def system(world: RunningSystem) -> RunningSystem:
    world.sandbox.reset()
    return world


def test_every_device_of_the_others_is_pushed_once(system: RunningSystem) -> None:
    conversation = system.conversation(6)

    posted = conversation.post("Land in sight!")

    job = system.wait_until_ended(conversation, posted)
    assert posted.status == 201
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 6, 6)
    assert system.pushed(conversation) == dict.fromkeys(conversation.tokens, 1)


def test_the_push_says_who_wrote_what(system: RunningSystem) -> None:
    pairs = {
        platform: system.conversation(1, platforms=(platform,))
        for platform in ("apns", "fcm")
    }

    posts = {name: pair.post("Grüße 🐙") for name, pair in pairs.items()}
    for name, posted in posts.items():
        system.wait_until_ended(pairs[name], posted)

    senders = {
        name: f"user {posted.json['message']['sender']}"
        for name, posted in posts.items()
    }
    payloads = {push["platform"]: push["payload"] for push in system.sandbox.inbox()}
    aps = payloads["apns"]["aps"]
    assert aps["alert"] == {
        "title": senders["apns"],
        "subtitle": "chat of 1",
        "body": "Grüße 🐙",
    }
    assert aps["thread-id"] == f"chat-{pairs['apns'].id}"
    shown = payloads["fcm"]["notification"]
    assert shown == {"title": senders["fcm"], "body": "Grüße 🐙"}


def test_the_answer_does_not_wait_for_slow_phones(system: RunningSystem) -> None:
    conversation = system.conversation(20)
    system.wait_until_ended(conversation, conversation.post("warm up"))
    system.sandbox.control(latency_ms=1500)

    posted = conversation.post("quick")
    answered_at = utc_now()

    job = system.wait_until_ended(conversation, posted)
    assert datetime.fromisoformat(job["finished_at"]) > answered_at


def test_the_same_client_id_pushes_once(system: RunningSystem) -> None:
    conversation = system.conversation(3)

    first = conversation.post(client_id="a1")
    again = conversation.post(client_id="a1")
    system.wait_until_ended(conversation, first)

    assert (first.status, again.status) == (201, 200)
    assert again.json["message"] == first.json["message"]
    assert system.pushed(conversation) == dict.fromkeys(conversation.tokens, 1)


def test_messages_arrive_in_the_order_they_were_written(system: RunningSystem) -> None:
    conversation = system.conversation(3)

    posts = [conversation.post(str(n)) for n in range(12)]
    for posted in posts:
        system.wait_until_ended(conversation, posted)

    for token in conversation.tokens:
        arrived = [push["payload"] for push in system.sandbox.inbox(token=token)]
        shown = [
            payload["aps"]["alert"]["body"]
            if "aps" in payload
            # In a group the sender stands before the text.
            else payload["notification"]["body"].split(": ")[-1]
            for payload in arrived
        ]
        assert shown == [str(n) for n in range(12)]


@pytest.mark.parametrize(
    ("token", "accepted", "failed"),
    [("unregistered-1", 2, 1), ("bad-token-1", 2, 1), ("payload-too-large-1", 2, 1)],
)
def test_one_bad_token_does_not_silence_the_others(
    system: RunningSystem, token: str, accepted: int, failed: int
) -> None:
    conversation = system.conversation(3, platforms=("apns",), tokens=[token])

    posted = conversation.post()

    job = system.wait_until_ended(conversation, posted)
    assert (job["accepted"], job["failed"]) == (accepted, failed)


def test_a_busy_provider_is_asked_again(system: RunningSystem) -> None:
    conversation = system.conversation(2, platforms=("apns",), tokens=["flaky-1-x"])

    posted = conversation.post()

    job = system.wait_until_ended(conversation, posted)
    assert (job["state"], job["accepted"], job["failed"]) == ("completed", 2, 0)


def test_a_dead_device_is_not_pushed_to_again(system: RunningSystem) -> None:
    conversation = system.conversation(
        2, platforms=("apns",), tokens=["unregistered-2"]
    )
    system.wait_until_ended(conversation, conversation.post("first"))

    job = system.wait_until_ended(conversation, conversation.post("second"))

    assert (job["total"], job["accepted"]) == (1, 1)
