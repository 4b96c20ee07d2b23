"""Editing, deleting and reading messages, and the options of their pushes."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from models.pushes import AT_ONCE, PushJob
from tests.support.chat_api import ON_EVERY_DATABASE

pytestmark = ON_EVERY_DATABASE


@pytest.fixture
def jobs(chat_api):
    """The push jobs, ordered by creation."""

    def read() -> list[PushJob]:
        with chat_api.store.read() as session:
            return list(session.scalars(select(PushJob).order_by(PushJob.id)))

    return read


def page(user, chat):
    return user.client.get(f"/groupchat/{chat}/messages").json["messages"]


def test_changed_message_says_so(chat_api, ann, bob, chat):
    sent = chat_api.say(ann, chat, "Noon?").json["message"]
    path = f"/groupchat/{chat}/messages/{sent['id']}"

    changed = ann.client.patch(path, {"message": "One?"})

    assert (changed.status, changed.json["text"]) == (200, "One?")
    assert changed.json["edited_at"] is not None
    assert page(bob, chat) == [changed.json]


def test_deleted_message_leaves_its_place_and_nothing_else(
    chat_api, ann, bob, chat, jobs
):
    sent = chat_api.say(ann, chat, "oops", data={"a": "b"}, mentions=[bob.id]).json
    path = f"/groupchat/{chat}/messages/{sent['message']['id']}"

    assert ann.client.delete(path).status == 204

    (left,) = page(bob, chat)
    assert (left["seq"], left["text"]) == (1, "")
    assert (left["data"], left["mentions"]) == (None, None)
    assert left["deleted_at"] is not None
    assert [job.kind for job in jobs()] == ["message", "withdraw"]
    assert chat_api.dispatcher.job_ids == [job.id for job in jobs()]
    assert ann.client.delete(path).status == 404
    assert ann.client.patch(path, {"message": "x"}).status == 404


def test_message_is_only_found_in_its_own_conversation(chat_api, ann, chat):
    other = chat_api.chat(ann)
    message = chat_api.say(ann, chat, "hi").json["message"]["id"]

    answer = ann.client.delete(f"/groupchat/{other}/messages/{message}")

    assert answer.status == 404


def test_reading_counts_down_and_tells_the_readers_devices(
    chat_api, ann, bob, chat, jobs
):
    for text in ("1", "2", "3"):
        chat_api.say(ann, chat, text)

    state = bob.client.put(f"/groupchat/{chat}/read", {"seq": 2})

    assert state.json == {"read_seq": 2, "unread": 1}
    assert (jobs()[-1].kind, jobs()[-1].only_user) == ("read", bob.id)
    assert chat_api.dispatcher.job_ids[-1] == jobs()[-1].id


def test_reading_never_goes_back_nor_beyond_the_end(chat_api, ann, bob, chat, jobs):
    chat_api.say(ann, chat, "1")
    chat_api.say(ann, chat, "2")
    path = f"/groupchat/{chat}/read"

    states = [bob.client.put(path, {"seq": seq}).json for seq in (2, 1, 0, 999)]

    assert [state["read_seq"] for state in states] == [2, 2, 2, 2]
    assert [job.kind for job in jobs()] == ["message", "message", "read"]


def test_deleted_messages_are_not_unread(chat_api, ann, bob, chat):
    said = [chat_api.say(ann, chat, text).json["message"] for text in "1234"]
    for each in (said[0], said[2]):
        ann.client.delete(f"/groupchat/{chat}/messages/{each['id']}")

    listed = bob.client.get("/groupchat").json["conversations"][0]["unread"]
    states = [
        bob.client.put(f"/groupchat/{chat}/read", {"seq": seq}).json
        for seq in (0, 1, 2, 3, 4)
    ]

    assert listed == 2
    assert [state["unread"] for state in states] == [2, 2, 1, 1, 0]


def test_ones_own_message_is_never_unread(chat_api, ann, bob, chat):
    chat_api.say(ann, chat, "1")
    chat_api.say(bob, chat, "2")

    unread = [
        user.client.get("/groupchat").json["conversations"][0]["unread"]
        for user in (ann, bob)
    ]

    assert unread == [1, 0]


def test_message_keeps_what_is_sent_with_it(chat_api, ann, bob, chat):
    more = {
        "data": {"link": "app://x", "emoji": "🎉"},
        "mentions": [bob.id],
        "silent": True,
    }

    sent = chat_api.say(ann, chat, "hi", **more).json["message"]

    assert {name: sent[name] for name in more} == more
    assert page(bob, chat) == [sent]


def test_only_members_can_be_mentioned(chat_api, ann, eve, chat):
    answer = chat_api.say(ann, chat, "hi", mentions=[eve.id, ann.id])

    assert (answer.status, answer.code) == (400, "invalid")
    assert answer.json["error"]["details"] == {"user_ids": [eve.id]}
    assert page(ann, chat) == []


def test_push_waits_for_its_time_but_the_message_does_not(
    chat_api, ann, bob, chat, jobs
):
    later = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)

    chat_api.say(ann, chat, "later", deliver_after=later.isoformat(), ttl=60)

    (job,) = jobs()
    assert job.due_at == later
    assert job.expires_at == later + timedelta(seconds=60)
    assert [message["text"] for message in page(bob, chat)] == ["later"]


def test_time_that_has_passed_is_now(chat_api, ann, chat, jobs):
    chat_api.say(ann, chat, "late", deliver_after="2020-01-01T00:00:00Z")

    (job,) = jobs()
    assert job.due_at == AT_ONCE
