"""Conversations with very many members, which only the service can make."""

import threading

import pytest
from sqlalchemy import func, insert, select

from api import seats
from datastore import large_chats
from models.accounts import User as UserRow
from models.base import utc_now
from models.chats import Chat, Member
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi
from tests.support.wait import until

SIZE = 2 * seats.SEATS_PER_TURN + 1


def add_users(chat_api: ChatApi, count: int) -> list[int]:
    ids = list(range(10_000, 10_000 + count))
    rows = [{"id": i, "name": f"user {i}", "created_at": utc_now()} for i in ids]
    with chat_api.store.write() as session:
        session.execute(insert(UserRow), rows)
    return ids


def test_hundred_thousand_members_are_seated_in_one_request(chat_api, ann):
    ids = add_users(chat_api, 100_000)
    body = {"name": "Everyone", "members": ids, "owner": ann.id}

    made = chat_api.service.post("/groupchat", body)

    assert (made.status, made.json["member_count"]) == (201, 100_001)
    assert len(made.json["members"]) == 1000
    again = chat_api.service.post(
        f"/groupchat/{made.json['id']}/members", {"user_ids": [*ids, ann.id]}
    )
    assert again.json["added"] == 0


@ON_EVERY_DATABASE
def test_large_conversation_is_like_any_other(chat_api, ann):
    ids = add_users(chat_api, SIZE)
    body = {"name": "Big", "members": ids, "owner": ann.id, "external_id": "big"}

    made = chat_api.service.post("/groupchat", {**body, "retention_days": 7})
    again = chat_api.service.post("/groupchat", body)

    assert (made.status, again.status) == (201, 200)
    assert made.json == again.json
    assert (made.json["external_id"], made.json["retention_days"]) == ("big", 7)
    assert made.json["member_count"] == SIZE + 1
    assert ann.client.get(f"/groupchat/{made.json['id']}").json["role"] == "owner"


@ON_EVERY_DATABASE
def test_conversation_that_was_not_finished_is_not_seen_and_keeps_no_name(
    chat_api, ann
):
    """As after a crash between two of its transactions."""
    with chat_api.store.write() as session:
        lost = large_chats.begin(session, "Lost", now=utc_now())
        large_chats.seat(session, lost, [ann.id], "owner")
    ids = add_users(chat_api, SIZE)

    made = chat_api.service.post(
        "/groupchat", {"name": "Big", "members": ids, "external_id": "big"}
    )

    assert (made.status, made.json["member_count"]) == (201, SIZE)
    assert ann.client.get("/groupchat").json["conversations"] == []
    assert ann.client.get(f"/groupchat/{lost}").status == 404
    assert chat_api.say(ann, lost, "hello").status == 404


@ON_EVERY_DATABASE
def test_of_two_creations_at_once_one_is_found_by_both(chat_api):
    ids = add_users(chat_api, SIZE)
    body = {"name": "Big", "members": ids, "external_id": "big"}
    answers = []

    def create() -> None:
        answers.append(chat_api.service.post("/groupchat", body))

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.status for answer in answers) == [200, 201]
    assert answers[0].json == answers[1].json
    assert answers[0].json["member_count"] == SIZE


@pytest.mark.parametrize("path", ["/groupchat", "/groupchat/{chat}/members"])
def test_senders_have_their_turn_between_the_transactions(chat_api, ann, chat, path):
    """Messages are saved while the members of another conversation are added."""
    ids = add_users(chat_api, 8 * seats.SEATS_PER_TURN)
    other = chat_api.chat(ann, name="Other")
    names = {"/groupchat": ({"name": "Big", "members": ids})}
    body = names.get(path, {"user_ids": ids})
    adding = threading.Thread(
        target=lambda: chat_api.service.post(path.format(chat=chat), body)
    )

    def count_members() -> int:
        with chat_api.store.read() as session:
            return session.scalars(select(func.count()).select_from(Member)).one()

    before = count_members()
    adding.start()
    until(lambda: count_members() > before)
    sent = chat_api.say(ann, other, "hello")
    meanwhile = count_members()
    adding.join()

    assert sent.status == 201
    assert meanwhile < len(ids)
    assert count_members() >= before + len(ids)
    with chat_api.store.read() as session:
        assert (
            session.scalars(select(Chat).where(Chat.deleted_at.is_not(None))).all()
            == []
        )
