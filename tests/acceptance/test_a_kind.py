"""A kind that the service has defined, from the request to the phones."""

import json
from typing import Any

import pytest
from sqlalchemy import update

from models.accounts import Device
from models.chats import Member
from sandbox.keys import TOPIC
from tests.support.running_system import Conversation, RunningSystem

DEFINITION = {
    "members": True,
    "patterns": {
        "default": {"title": "{sender} says"},
        "de": {"title": "{sender} sagt"},
    },
    "apns": {"aps": {"category": "CHAT"}},
    "fcm": {"android": {"notification": {"channel_id": "chats"}}},
}
MENTION = {"patterns": {"default": {"title": "{sender} means you"}}}


@pytest.fixture
def system(world: RunningSystem) -> RunningSystem:
    world.sandbox.reset()
    return world


def define(system: RunningSystem, name: str, definition: dict[str, Any]) -> None:
    answer = system.server.client.put(f"/kinds/{name}", definition)
    assert answer.status in (200, 201), answer.json


def speak(system: RunningSystem, conversation: Conversation, locale: str) -> None:
    """Let all phones of the conversation have this locale."""
    with system.store.write() as session:
        session.execute(
            update(Device)
            .where(Device.token.in_(conversation.tokens))
            .values(locale=locale)
        )


def push(system: RunningSystem, conversation: Conversation, **more: Any) -> Any:
    posted = conversation.post("Ahoy", **more)
    system.wait_until_ended(conversation, posted)
    return {each["platform"]: each["payload"] for each in system.sandbox.inbox()}


def test_a_message_has_the_look_of_its_kind(system: RunningSystem) -> None:
    define(system, "shout", DEFINITION)
    conversation = system.conversation(2)
    speak(system, conversation, "de-AT")

    pushed = push(system, conversation, kind="shout")

    aps, google = pushed["apns"]["aps"], pushed["fcm"]
    assert aps["alert"]["title"].endswith(" sagt")
    assert aps["category"] == "CHAT"
    assert google["notification"]["title"] == "chat of 2"
    assert google["notification"]["body"].endswith(" sagt: Ahoy")
    assert google["android"]["notification"]["channel_id"] == "chats"
    told = json.loads(google["data"]["bottlepost"])
    assert told == pushed["apns"]["bottlepost"]
    assert told["chat"] == {"name": "chat of 2", "group": True}


def test_whom_it_mentions_sees_the_kind_for_mentions(system: RunningSystem) -> None:
    define(system, "mention", MENTION)
    conversation = system.conversation(1, platforms=("apns",))
    with system.store.read() as session:
        members = session.query(Member.user_id).filter_by(chat_id=conversation.id)
        users = [user for (user,) in members]

    pushed = push(system, conversation, mentions=users)

    assert pushed["apns"]["aps"]["alert"]["title"].endswith(" means you")
    assert pushed["apns"]["bottlepost"]["mentioned"] is True


def test_the_service_may_make_a_call_of_a_single_message(system: RunningSystem) -> None:
    conversation = system.conversation(2, platforms=("apns",))
    of_calls = min(conversation.tokens)
    with system.store.write() as session:
        session.execute(
            update(Device).where(Device.token == of_calls).values(app=f"{TOPIC}.voip")
        )
    sender = conversation.post("first").json["message"]["sender"]
    body = {
        "conversation": conversation.id,
        "message": "Ahoy",
        "sender": sender,
        "notification": {"apns": {"headers": {"push_type": "voip"}}},
    }

    posted = system.server.client.post("/groupchat/send", body)
    system.wait_until_ended(conversation, posted)

    calls = [
        each
        for each in system.sandbox.inbox()
        if each["headers"]["apns-push-type"] == "voip"
    ]
    [call] = calls
    assert call["token"] == of_calls
    assert call["headers"]["apns-topic"].endswith(".voip")
    # The message before was for the other device alone.
    others = [each for each in system.sandbox.inbox() if each not in calls]
    assert {each["token"] for each in others} == conversation.tokens - {of_calls}
