"""Who left a conversation is outside, and may be added again by the service only."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, update

from datastore import acquaintances, chat_lists, chats, import_rows, unread
from datastore.outbox import audience
from datastore.prepared import link_of
from models.accounts import Device, User
from models.base import utc_now
from models.chats import Chat, Departure, Member
from models.errors import NotFound
from models.imports import Row
from tests.support.chat_api import ON_EVERY_DATABASE

pytestmark = ON_EVERY_DATABASE


def leave(who, chat):
    assert who.client.delete(f"/groupchat/{chat}/members/{who.id}").status == 204


def remove(owner, who, chat):
    assert owner.client.delete(f"/groupchat/{chat}/members/{who.id}").status == 204


def add(client, who, chat):
    answer = client.post(f"/groupchat/{chat}/members", {"user_ids": [who.id]})
    assert answer.status == 200
    return answer.json


def mute(who, chat):
    until = (utc_now() + timedelta(days=1)).isoformat()
    assert who.client.put(f"/groupchat/{chat}/mute", {"until": until}).status == 200


def muted_until(who, chat):
    listed = who.client.get("/groupchat").json["conversations"]
    return {each["id"]: each["muted_until"] for each in listed}[chat]


def test_owner_cannot_put_back_a_member_who_left(ann, bob, eve, chat):
    leave(bob, chat)

    both = ann.client.post(
        f"/groupchat/{chat}/members", {"user_ids": [bob.id, eve.id]}
    ).json

    assert both == {"added": 1, "refused": [{"user_id": bob.id, "code": "left"}]}
    assert bob.client.get(f"/groupchat/{chat}").status == 404
    assert eve.client.get(f"/groupchat/{chat}").status == 200


def test_service_can_put_back_a_member_who_left(chat_api, ann, bob, chat):
    leave(bob, chat)

    assert add(chat_api.service, bob, chat) == {"added": 1, "refused": []}
    # Then they are a member like any other.
    remove(ann, bob, chat)
    assert add(ann.client, bob, chat)["added"] == 1


def test_owner_can_put_back_a_member_whom_an_owner_removed(ann, bob, chat):
    remove(ann, bob, chat)

    assert add(ann.client, bob, chat) == {"added": 1, "refused": []}


def test_who_left_can_be_in_another_conversation(ann, bob, chat):
    leave(bob, chat)

    made = ann.client.post("/groupchat", {"name": "Other", "members": [bob.id]})

    assert made.json["member_count"] == 2


@pytest.mark.parametrize("out", ["left", "removed"])
@pytest.mark.parametrize("way", ["service", "import", "owner"])
def test_mute_survives(chat_api, ann, bob, chat, out, way):
    mute(bob, chat)
    before = muted_until(bob, chat)
    if out == "left" and way != "owner":
        leave(bob, chat)
    else:
        remove(ann, bob, chat)

    if way == "import":
        put_member(chat_api.store, bob.id, chat)
    else:
        add(chat_api.service if way == "service" else ann.client, bob, chat)

    assert muted_until(bob, chat) == before
    assert before is not None
    with chat_api.store.read() as session:
        assert session.scalars(select(Departure)).all() == []


def put_member(store, user: int, chat: int) -> None:
    with store.write() as session:
        session.get_one(Chat, chat).external_id = "c"
        session.flush()
        session.get_one(User, user).external_id = "u"
        session.flush()
        values = {"conversation": "c", "user": "u", "role": "member"}
        put = import_rows.put(session, [Row(1, "member", values)], utc_now())
    assert (put.changed, put.problems) == (1, [])


def test_unmuted_member_comes_back_unmuted(ann, bob, chat):
    remove(ann, bob, chat)
    add(ann.client, bob, chat)

    assert muted_until(bob, chat) is None


def test_membership_of_an_older_process_says_more_than_the_departure(
    chat_api, ann, bob, chat
):
    """A process from before the table adds and removes members beside it."""
    leave(bob, chat)
    with chat_api.store.write() as session:
        conversation = chats.get(session, chat, for_update=True)
        chats.insert_members(session, conversation, [bob.id], "member")

    assert add(ann.client, bob, chat) == {"added": 0, "refused": []}
    remove(ann, bob, chat)
    assert add(ann.client, bob, chat) == {"added": 1, "refused": []}


def test_member_removed_by_an_older_process_can_be_added(chat_api, ann, bob, chat):
    with chat_api.store.write() as session:
        session.execute(delete(Member).where(Member.user_id == bob.id))

    assert add(ann.client, bob, chat) == {"added": 1, "refused": []}


def test_departure_is_recorded_once(chat_api, ann, bob, chat):
    began_at = utc_now()
    for _ in range(3):
        remove(ann, bob, chat)
        with chat_api.store.read() as session:
            (departure,) = session.scalars(select(Departure)).all()
        assert departure.left_at > began_at
        assert not departure.by_themselves
        add(ann.client, bob, chat)


# What each reader of memberships says of a user who is in a conversation.
READERS = {
    "membership": lambda s, chat, user: bool(chats.membership(s, chat, user)),
    "is_member": chats.is_member,
    "members": lambda s, chat, user: (
        user in [each.id for each in chats.members(s, chat, after=0, limit=9)]
    ),
    "member_ids": lambda s, chat, user: user in chats.member_ids(s, chat, limit=9),
    "count": lambda s, chat, user: chats.count_members(s, chat) == 2,
    "strangers": lambda s, chat, user: not chats.strangers(s, chat, [user]),
    "present": lambda s, chat, user: bool(chats.present(link_of(s), chat, [user])),
    "list": lambda s, chat, user: bool(
        chat_lists.list_for(s, user, before=None, limit=9)
    ),
    "acquaintances": lambda s, chat, user: bool(
        acquaintances.among(s, user, [*chats.member_ids(s, chat, limit=9)])
    ),
    "badge": lambda s, chat, user: (
        s.scalar(select(unread.badge(Device)).where(Device.user_id == user)) == 1
    ),
    "devices": lambda s, chat, user: bool(_devices(s, chat)),
    "rows": lambda s, chat, user: bool(
        s.scalar(select(func.count()).where(Member.user_id == user))
    ),
}


def _devices(session, chat):
    query = select(audience.of_chat().with_only_columns(Device.id).subquery())
    return session.execute(query, {"chat": chat}).all()


@pytest.mark.parametrize("name", READERS)
def test_every_reader_agrees_that_who_left_is_outside(chat_api, ann, bob, chat, name):
    bob.client.post("/devices", {"platform": "fcm", "token": "phone"})
    chat_api.say(ann, chat, "hello")
    with chat_api.store.write() as session:
        # As the fan-out does.
        session.execute(update(Member).values(caught_up=None))

    def says() -> bool:
        with chat_api.store.read() as session:
            try:
                return READERS[name](session, chat, bob.id)
            except NotFound:
                return False

    inside = says()
    leave(bob, chat)

    assert (inside, says()) == (True, False)
