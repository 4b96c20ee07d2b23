"""How long a conversation keeps its messages, and what is seen of pruned ones."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from datastore import Datastore, retention
from models.base import utc_now
from models.chats import Message
from models.pushes import COMPLETED, PushJob
from tests.support import databases
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi

pytestmark = ON_EVERY_DATABASE


@pytest.fixture(name="chat_api")
def chat_api_of_a_year(tmp_path: Path, kind: str) -> Iterator[ChatApi]:
    built = ChatApi(Datastore(databases.fresh_url(kind, tmp_path)), message_days=365)
    yield built
    built.store.close()


def prune(chat_api: ChatApi, chat: int, ids: list[int]) -> None:
    """Make these messages two years old, end their pushes, and prune."""
    now = utc_now()
    with chat_api.store.write() as session:
        old = update(Message).where(Message.id.in_(ids))
        session.execute(old.values(created_at=now - timedelta(days=730)))
        ended = update(PushJob).where(PushJob.message_id.in_(ids))
        session.execute(ended.values(state=COMPLETED, due_at=None, finished_at=now))
        found = retention.forget_messages(
            session, chat, after=0, default_days=365, now=now, limit=100
        )
    assert found.messages == len(ids)


def test_a_conversation_keeps_its_messages_as_long_as_the_server(ann, chat):
    assert ann.client.get(f"/groupchat/{chat}").json["retention_days"] is None


def test_an_owner_sets_how_long_messages_are_kept(ann, bob, chat):
    made = ann.client.post(
        "/groupchat", {"name": "x", "members": [], "retention_days": 7}
    )
    changed = ann.client.patch(f"/groupchat/{chat}", {"retention_days": 30})

    assert made.json["retention_days"] == 7
    assert (changed.status, changed.json["retention_days"]) == (200, 30)
    shown = bob.client.get(f"/groupchat/{chat}").json
    assert (shown["name"], shown["retention_days"]) == ("Lunch", 30)
    both = {"name": "Dinner", "retention_days": None}
    again = ann.client.patch(f"/groupchat/{chat}", both).json
    assert (again["name"], again["retention_days"]) == ("Dinner", None)


def test_only_the_service_keeps_messages_longer_than_the_server(chat_api, ann, chat):
    for answer in (
        ann.client.patch(f"/groupchat/{chat}", {"retention_days": 366}),
        ann.client.post(
            "/groupchat", {"name": "x", "members": [], "retention_days": 366}
        ),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")

    answer = chat_api.service.patch(f"/groupchat/{chat}", {"retention_days": 3650})
    assert (answer.status, answer.json["retention_days"]) == (200, 3650)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": None},
        {"retention_days": 0},
        {"retention_days": 36_501},
        {"retention_days": "7"},
        {"name": "", "retention_days": 7},
    ],
)
def test_changes_that_mean_nothing_are_refused(ann, chat, body):
    answer = ann.client.patch(f"/groupchat/{chat}", body)

    assert (answer.status, answer.code) == (400, "invalid")
    assert ann.client.get(f"/groupchat/{chat}").json["name"] == "Lunch"


def test_members_change_nothing(bob, chat):
    answer = bob.client.patch(f"/groupchat/{chat}", {"retention_days": 1})

    assert answer.status == 403


def test_what_is_seen_of_pruned_messages(chat_api, ann, bob, chat):
    sent = [chat_api.say(ann, chat, f"no. {n}").json for n in range(1, 5)]
    ids = [each["message"]["id"] for each in sent]

    prune(chat_api, chat, ids[:2])

    page = bob.client.get(f"/groupchat/{chat}/messages?after=1").json
    assert [each["seq"] for each in page["messages"]] == [3, 4]
    assert bob.client.get(f"/groupchat/{chat}/messages?before=3").json == {
        "messages": [],
        "has_more": False,
    }
    [listed] = bob.client.get("/groupchat").json["conversations"]
    assert (listed["unread"], listed["last_seq"]) == (2, 4)
    at = f"/groupchat/{chat}/messages/{ids[0]}"
    assert ann.client.patch(at, {"message": "x"}).status == 404
    assert ann.client.delete(at).status == 404
    assert ann.client.get(sent[0]["job"]["url"]).status == 404
    assert ann.client.get(sent[2]["job"]["url"]).status == 200
    read = bob.client.put(f"/groupchat/{chat}/read", {"seq": 1})
    assert (read.status, read.json) == (200, {"read_seq": 1, "unread": 2})
    read = bob.client.put(f"/groupchat/{chat}/read", {"seq": 3})
    assert read.json == {"read_seq": 3, "unread": 1}


def test_a_conversation_whose_messages_are_all_gone_is_listed(chat_api, ann, bob, chat):
    ids = [chat_api.say(ann, chat, "hi").json["message"]["id"] for _ in range(2)]
    other = chat_api.chat(ann, bob, name="other")
    chat_api.say(ann, other, "hi")

    prune(chat_api, chat, ids)

    first, last = bob.client.get("/groupchat").json["conversations"]
    assert (first["id"], last["id"]) == (other, chat)
    assert (last["unread"], last["last_seq"], last["last_message"]) == (0, 2, None)
    assert chat_api.say(ann, chat, "again").json["message"]["seq"] == 3
    assert bob.client.get("/groupchat").json["conversations"][0]["unread"] == 1
