"""POST /groupchat/send with a kind, and by the service: who may say what."""

import pytest
from sqlalchemy import select

from api.known_kinds import MAX_AGE_S, KnownKinds
from api.rate_limits import per_minute
from models.chats import Message
from models.errors import UnknownKind
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi

LOUD = {"apns": {"aps": {"sound": "loud.caf"}}}
CHANGES = {"patterns": {"default": {"body": "Table 7 is ready"}}, **LOUD}


@pytest.fixture(autouse=True)
def _kinds(chat_api: ChatApi) -> None:
    chat_api.service.put("/kinds/call", {"members": True, **LOUD})
    chat_api.service.put("/kinds/alarm", LOUD)


def say_as_service(chat_api: ChatApi, chat: int, sender: int, **more):
    body = {"conversation": chat, "message": "hello", "sender": sender, **more}
    return chat_api.service.post("/groupchat/send", body)


def stored(chat_api: ChatApi) -> list[tuple]:
    with chat_api.store.read() as session:
        found = session.scalars(select(Message).order_by(Message.id)).all()
        return [(each.sender_id, each.kind, each.notification) for each in found]


@ON_EVERY_DATABASE
@pytest.mark.parametrize("client_id", [None, "c-1"], ids=["plain", "with client id"])
def test_kind_and_changes_are_stored_with_the_message(
    chat_api, ann, bob, chat, client_id
):
    more = {"client_id": client_id, "mentions": [ann.id]}
    by_member = chat_api.say(ann, chat, "hi", kind="call", client_id=client_id)
    by_service = say_as_service(
        chat_api, chat, bob.id, kind="alarm", notification=CHANGES, **more
    )
    plain = say_as_service(chat_api, chat, ann.id)

    assert [each.status for each in (by_member, by_service, plain)] == [201] * 3
    assert stored(chat_api) == [
        (ann.id, "call", None),
        (bob.id, "alarm", CHANGES),
        (ann.id, None, None),
    ]
    assert by_service.json["message"]["sender"] == bob.id
    page = ann.client.get(f"/groupchat/{chat}/messages").json["messages"]
    assert [each["kind"] for each in page] == ["call", "alarm", None]
    assert "notification" not in page[1]
    assert chat_api.dispatcher.job_ids == [
        each.json["job"]["id"] for each in (by_member, by_service, plain)
    ]


@ON_EVERY_DATABASE
@pytest.mark.parametrize(
    "other", [{"kind": "call"}, {"notification": {**LOUD, "fcm": {"data_only": True}}}]
)
def test_client_id_is_for_the_same_look_only(chat_api, bob, chat, other):
    first = {"kind": "alarm", "notification": LOUD, "client_id": "c-1"}
    said = [
        say_as_service(chat_api, chat, bob.id, **body)
        for body in (first, first, first | other)
    ]

    assert [each.status for each in said] == [201, 200, 409]
    assert said[1].json == said[0].json
    assert said[2].code == "client_id_used"


@pytest.mark.parametrize(
    ("more", "code", "status", "field"),
    [
        ({"kind": "nothing"}, "unknown_kind", 400, "kind"),
        ({"kind": "CALL"}, "unknown_kind", 400, "kind"),
        ({"kind": "message"}, "unknown_kind", 400, "kind"),
        ({"kind": "alarm"}, "forbidden", 403, "kind"),
        ({"notification": LOUD}, "forbidden", 403, "notification"),
        ({"notification": {}}, "forbidden", 403, "notification"),
        ({"notification": {"x": 1}, "kind": "x"}, "forbidden", 403, "notification"),
        ({"sender": 1}, "forbidden", 403, "sender"),
        ({"sender": 2}, "forbidden", 403, "sender"),
    ],
)
def test_member_says_no_more_than_a_kind_for_members(
    chat_api, ann, chat, more, code, status, field
):
    refused = chat_api.say(ann, chat, "hello", **more)

    assert (refused.status, refused.code) == (status, code)
    assert refused.json["error"]["details"] == {"field": field}
    assert stored(chat_api) == []


def test_service_names_a_member_as_the_sender(chat_api, ann, eve, chat):
    nameless = {"conversation": chat, "message": "hello"}

    missing = chat_api.service.post("/groupchat/send", nameless)
    stranger = say_as_service(chat_api, chat, eve.id)
    unknown = say_as_service(chat_api, chat, ann.id, kind="nothing")

    assert (missing.status, missing.code) == (400, "invalid")
    assert missing.json["error"]["details"]["problems"][0]["field"] == "sender"
    assert (stranger.status, stranger.code) == (404, "not_found")
    assert (unknown.status, unknown.code) == (400, "unknown_kind")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sound": "x"}, "notification.sound"),
        ({"members": True}, "notification.members"),
        ({"apns": {"aps": {"sound": 7}}}, "notification.apns.aps.sound"),
    ],
)
def test_bad_change_names_its_field(chat_api, ann, chat, changes, field):
    refused = say_as_service(chat_api, chat, ann.id, notification=changes)

    assert (refused.status, refused.code) == (400, "invalid")
    error = refused.json["error"]
    assert error["details"]["problems"][0]["field"].startswith(field)
    assert error["message"].startswith(f"{field}")


def test_changes_must_fit_to_the_kind_of_mentions_too(chat_api, ann, bob, chat):
    alert = {"title-loc-key": "NEW"}
    chat_api.service.put("/kinds/message", {"apns": {"aps": {"alert": alert}}})
    chat_api.service.put("/kinds/mention", LOUD)
    changes = {"apns": {"aps": {"alert": {"title-loc-args": ["{sender}"]}}}}

    plain, mentioning = (
        say_as_service(chat_api, chat, ann.id, notification=changes, **more)
        for more in ({}, {"mentions": [bob.id]})
    )

    assert (plain.status, mentioning.status) == (201, 400)
    field = "notification.apns.aps.alert.title-loc-args"
    assert mentioning.json["error"]["details"]["problems"][0]["field"] == field


@pytest.mark.parametrize("limits", [per_minute(user=6, chat=6, clock=lambda: 0.0)])
def test_messages_of_the_service_do_not_count(chat_api, ann, chat):
    by_service = [say_as_service(chat_api, chat, ann.id).status for _ in range(5)]
    by_member = [chat_api.say(ann, chat, "hi").status for _ in range(2)]

    assert by_service == [201] * 5
    assert by_member == [201, 429]


def test_deleted_message_keeps_nothing_of_its_look(chat_api, ann, chat):
    sent = say_as_service(chat_api, chat, ann.id, kind="alarm", notification=CHANGES)

    ann.client.delete(f"/groupchat/{chat}/messages/{sent.json['message']['id']}")

    assert stored(chat_api) == [(ann.id, "alarm", None)]


def test_new_kind_may_be_named_at_once_and_an_old_one_for_a_moment(chat_api):
    now = 0.0
    known = KnownKinds(clock=lambda: now)

    known.check(chat_api.store, "call", is_service=False)
    chat_api.service.put("/kinds/later", {"members": True})
    known.check(chat_api.store, "later", is_service=False)
    chat_api.service.delete("/kinds/later")
    known.check(chat_api.store, "later", is_service=False)
    now = MAX_AGE_S
    with pytest.raises(UnknownKind):
        known.check(chat_api.store, "later", is_service=True)
