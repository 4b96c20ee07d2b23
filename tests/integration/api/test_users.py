"""Users as others see them, names of senders, messages of the system, moderation."""

import json
from typing import Any

import pytest

from datastore import outbox
from datastore.outbox import claims
from models.base import utc_now
from models.pushes import Notification
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi, User
from tests.support.wsgi_client import WsgiClient


def say_as_system(chat_api: ChatApi, chat: int, text: str, **more: Any) -> Any:
    body = {"conversation": chat, "message": text, "system": True, **more}
    return chat_api.service.post("/groupchat/send", body)


def listed(client: WsgiClient, chat: int) -> list[tuple[Any, Any, str]]:
    messages = client.get(f"/groupchat/{chat}/messages").json["messages"]
    return [(each["sender"], each["sender_name"], each["text"]) for each in messages]


def test_me_is_the_user_of_the_token(chat_api: ChatApi, ann: User) -> None:
    shown = ann.client.get("/me").json

    found = chat_api.service.get(f"/users/{ann.id}").json
    assert shown["name"] == "Ann"
    assert shown == found


def test_others_see_a_user_with_whom_they_share_a_conversation(
    chat_api: ChatApi, ann: User, bob: User, eve: User, chat: int
) -> None:
    new = {"name": "Cid", "external_id": "c-1", "avatar_url": "https://example.org/c"}
    cid = chat_api.service.post("/users", new).json["id"]
    path = f"/users/{cid}"

    before = ann.client.get(path)
    chat_api.service.post(f"/groupchat/{chat}/members", {"user_ids": [cid]})
    after = ann.client.get(path)

    assert (before.status, eve.client.get(path).status) == (404, 404)
    assert before.body == ann.client.get("/users/999").body
    assert after.json["name"] == "Cid"
    assert after.json["avatar_url"] == "https://example.org/c"
    assert (after.json["external_id"], after.json["created_at"]) == (None, None)
    chat_api.service.delete(f"/groupchat/{chat}")
    assert ann.client.get(path).status == 404


@pytest.fixture
def names(chat_api: ChatApi) -> list[str]:
    made = [f"user {n}" for n in range(5)]
    for name in made:
        chat_api.user(name)
    return made


def test_the_service_lists_users_by_pages(chat_api: ChatApi, names: list[str]) -> None:
    found, after, has_more = [], 0, True
    while has_more:
        page = chat_api.service.get(f"/users?after={after}&limit=2").json
        found += [user["name"] for user in page["users"]]
        after, has_more = page["users"][-1]["id"], page["has_more"]

    assert found == names
    assert len(chat_api.service.get("/users").json["users"]) == 5


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "after=-1", "after=x", "external_id=a&limit=2"]
)
def test_a_bad_page_is_refused(chat_api: ChatApi, query: str) -> None:
    assert chat_api.service.get(f"/users?{query}").status == 400


@ON_EVERY_DATABASE
def test_messages_name_their_sender_also_after_they_left(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    sent = chat_api.say(bob, chat, "hi").json["message"]
    bob.client.delete(f"/groupchat/{chat}/members/{bob.id}")
    chat_api.service.patch(f"/users/{bob.id}", {"name": "Robert"})

    assert (sent["sender"], sent["sender_name"]) == (bob.id, "Bob")
    assert listed(ann.client, chat) == [(bob.id, "Robert", "hi")]
    [conversation] = ann.client.get("/groupchat").json["conversations"]
    assert conversation["last_message"]["sender_name"] == "Robert"


def test_a_message_that_the_service_sends_or_a_sender_edits_has_the_name(
    chat_api: ChatApi, ann: User, chat: int
) -> None:
    body = {"conversation": chat, "message": "hi", "sender": ann.id}

    sent = chat_api.service.post("/groupchat/send", body).json["message"]
    path = f"/groupchat/{chat}/messages/{sent['id']}"
    edited = ann.client.patch(path, {"message": "ho"}).json

    assert (sent["sender_name"], edited["sender_name"]) == ("Ann", "Ann")


@ON_EVERY_DATABASE
def test_a_message_of_the_system_has_no_sender(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    chat_api.say(ann, chat, "hi")

    sent = say_as_system(chat_api, chat, "Cid has joined", client_id="s-1")
    again = say_as_system(chat_api, chat, "Cid has joined", client_id="s-1")

    assert (sent.status, again.status) == (201, 200)
    assert sent.json["message"] == again.json["message"]
    assert listed(bob.client, chat)[1] == (None, None, "Cid has joined")
    [conversation] = ann.client.get("/groupchat").json["conversations"]
    assert conversation["unread"] == 1
    assert conversation["last_message"]["sender"] is None


def test_the_system_is_no_user(chat_api: ChatApi, ann: User, chat: int) -> None:
    say_as_system(chat_api, chat, "hi")
    hidden = (
        max(user["id"] for user in chat_api.service.get("/users").json["users"]) + 1
    )

    for method, path, body in (
        ("GET", f"/users/{hidden}", None),
        ("PATCH", f"/users/{hidden}", {"name": "x"}),
        ("POST", f"/users/{hidden}/tokens", {}),
        ("POST", f"/users/{hidden}/devices", {"platform": "fcm", "token": "x"}),
        ("DELETE", f"/users/{hidden}", None),
        ("GET", f"/users/{hidden}/export", None),
        ("POST", f"/groupchat/{chat}/members", {"user_ids": [hidden]}),
        ("POST", "/groupchat", {"name": "x", "members": [hidden]}),
    ):
        assert chat_api.service.request(method, path, body).status == 404, path


@pytest.mark.parametrize("who", [{}, {"sender": 1, "system": True}])
def test_the_service_names_either_a_sender_or_the_system(
    chat_api: ChatApi, chat: int, who: dict[str, Any]
) -> None:
    body = {"conversation": chat, "message": "hi", **who}

    reply = chat_api.service.post("/groupchat/send", body)

    assert (reply.status, reply.code) == (400, "invalid")
    assert reply.json["error"]["details"]["problems"][0]["field"] == "sender"


def claimed(chat_api: ChatApi) -> Notification:
    now = utc_now()
    with chat_api.store.write() as session:
        ids = claims.claim(session, "me", limit=1, now=now, lease_until=now)
        return outbox.load(session, "me", ids)[0].notification


@ON_EVERY_DATABASE
def test_the_push_of_the_system_has_the_conversation_as_its_title(
    chat_api: ChatApi, chat: int
) -> None:
    say_as_system(chat_api, chat, "Cid has joined")

    notification = claimed(chat_api)

    assert notification.heading == ("Lunch", "")
    assert notification.is_of_system
    assert (notification.sender_id, notification.sender_external_id) == (0, None)


def test_the_service_reads_and_deletes_any_message(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    chat_api.say(ann, chat, "rude")
    chat_api.say(bob, chat, "kind")
    rude, _ = chat_api.service.get(f"/groupchat/{chat}/messages").json["messages"]

    reply = chat_api.service.delete(f"/groupchat/{chat}/messages/{rude['id']}")
    again = chat_api.service.delete(f"/groupchat/{chat}/messages/{rude['id']}")

    assert (reply.status, again.status) == (204, 404)
    texts = [text for _, _, text in listed(chat_api.service, chat)]
    assert texts == ["", "kind"]
    assert chat_api.service.get("/groupchat/999/messages").status == 404


@ON_EVERY_DATABASE
def test_all_messages_of_a_conversation_or_of_one_user_are_deleted(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    for n in range(3):
        chat_api.say(ann, chat, f"of Ann {n}")
        chat_api.say(bob, chat, f"of Bob {n}")
    path = f"/groupchat/{chat}/messages"

    of_bob = chat_api.service.delete(f"{path}?sender={bob.id}&after=2").json
    texts = [text for _, _, text in listed(ann.client, chat)]
    unread = bob.client.get("/groupchat").json["conversations"][0]["unread"]
    rest = chat_api.service.delete(path).json

    assert of_bob == {"deleted": 2, "last_seq": 6, "has_more": False}
    assert texts == ["of Ann 0", "of Bob 0", "of Ann 1", "", "of Ann 2", ""]
    assert unread == 0
    assert rest["deleted"] == 4
    assert ann.client.get("/groupchat").json["conversations"][0]["unread"] == 0


def exported(reply: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reply.body.splitlines()]


@ON_EVERY_DATABASE
def test_an_export_has_everything_about_the_user(
    chat_api: ChatApi, ann: User, bob: User, chat: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr("datastore.exports.ROWS_PER_PAGE", 2)
    monkeypatch.setattr("datastore.exports.MESSAGES_PER_LOOK", 3)
    monkeypatch.setattr("datastore.exports.CHATS_PER_LOOK", 1)
    ann.client.post("/devices", {"platform": "fcm", "token": "of-ann"})
    other = chat_api.chat(ann, name="Other")
    left = chat_api.chat(bob, ann, name="Left")
    ann.client.delete(f"/groupchat/{left}/members/{ann.id}")
    for n in range(5):
        chat_api.say(ann, chat, f"text {n}")
        chat_api.say(bob, chat, f"secret {n}")
    chat_api.say(ann, other, "alone")

    reply = chat_api.service.get(f"/users/{ann.id}/export")
    lines = exported(reply)

    assert reply.headers["content-type"] == "application/x-ndjson"
    assert lines == [
        *exported(ann.client.get(f"/users/{ann.id}/export"))[:-1],
        lines[-1],
    ]
    of = lambda kind: [line for line in lines if line["type"] == kind]  # noqa: E731
    assert of("user")[0]["name"] == "Ann"
    assert [device["token"] for device in of("device")] == ["of-ann"]
    assert len(of("token")) == 1
    assert [each["name"] for each in of("membership")] == ["Lunch", "Other"]
    assert [each["conversation"] for each in of("departure")] == [left]
    assert [each["text"] for each in of("message")] == [
        *(f"text {n}" for n in range(5)),
        "alone",
    ]
    assert lines[-1]["type"] == "end"
    assert lines[-1]["lines"] == len(lines) - 1
    assert b"secret" not in reply.body
