"""Conversations and their members."""

from sqlalchemy import insert

from models.accounts import User as UserRow
from models.base import utc_now


def test_creator_is_a_member_and_the_owner(ann, bob):
    made = ann.client.post("/groupchat", {"name": "Lunch", "members": [bob.id]})

    assert made.status == 201
    assert made.json["name"] == "Lunch"
    assert made.json["members"] == sorted([ann.id, bob.id])
    assert (made.json["role"], made.json["member_count"]) == ("owner", 2)


def test_members_named_twice_are_seated_once(ann, bob):
    members = [bob.id, ann.id, bob.id]

    made = ann.client.post("/groupchat", {"name": "Lunch", "members": members})

    assert made.json["members"] == sorted([ann.id, bob.id])


def test_unknown_users_are_named(ann):
    answer = ann.client.post("/groupchat", {"name": "x", "members": [ann.id, 777]})

    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.json["error"]["details"] == {"user_ids": [777]}


def test_conversation_is_shown_to_its_members_as_they_stand(ann, bob, chat):
    shown = bob.client.get(f"/groupchat/{chat}").json

    assert (shown["id"], shown["role"]) == (chat, "member")
    assert shown["members"] == sorted([ann.id, bob.id])


def test_added_member_takes_part_at_once(house, ann, eve, chat):
    added = ann.client.post(f"/groupchat/{chat}/members", {"user_ids": [eve.id]})

    assert (added.status, added.json["added"]) == (200, 1)
    assert house.say(eve, chat, "hello").status == 201


def test_adding_members_again_changes_nothing(ann, bob, chat):
    again = ann.client.post(
        f"/groupchat/{chat}/members", {"user_ids": [bob.id, ann.id]}
    )

    assert again.json["added"] == 0
    assert ann.client.get(f"/groupchat/{chat}").json["role"] == "owner"


def test_removed_member_is_out(house, ann, bob, chat):
    removed = ann.client.delete(f"/groupchat/{chat}/members/{bob.id}")

    assert removed.status == 204
    assert house.say(bob, chat, "hello").status == 404
    assert ann.client.delete(f"/groupchat/{chat}/members/{bob.id}").status == 404


def test_member_may_leave(bob, chat):
    assert bob.client.delete(f"/groupchat/{chat}/members/{bob.id}").status == 204
    assert bob.client.get(f"/groupchat/{chat}").status == 404


def test_members_are_paged_in_order(house, ann, chat):
    more = [house.user(f"user {number}").id for number in range(5)]
    ann.client.post(f"/groupchat/{chat}/members", {"user_ids": more})
    everyone = ann.client.get(f"/groupchat/{chat}").json["members"]

    first = ann.client.get(f"/groupchat/{chat}/members?limit=4").json
    after = first["members"][-1]
    rest = ann.client.get(f"/groupchat/{chat}/members?limit=4&after={after}").json

    assert first["members"] + rest["members"] == everyone
    assert (first["has_more"], rest["has_more"]) == (True, False)


def test_hundred_thousand_members_are_seated_in_one_request(house, ann):
    ids = list(range(10_000, 110_000))
    rows = [{"id": i, "name": f"user {i}", "created_at": utc_now()} for i in ids]
    with house.store.write() as session:
        session.execute(insert(UserRow), rows)

    made = ann.client.post("/groupchat", {"name": "Everyone", "members": ids})

    assert (made.status, made.json["member_count"]) == (201, 100_001)
    assert len(made.json["members"]) == 1000
    again = ann.client.post(
        f"/groupchat/{made.json['id']}/members", {"user_ids": [*ids, ann.id]}
    )
    assert again.json["added"] == 0
