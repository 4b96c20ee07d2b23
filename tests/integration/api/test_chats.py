"""Conversations and their members."""

import pytest

from tests.support.chat_api import ON_EVERY_DATABASE

pytestmark = ON_EVERY_DATABASE


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


def test_added_member_takes_part_at_once(chat_api, ann, eve, chat):
    added = ann.client.post(f"/groupchat/{chat}/members", {"user_ids": [eve.id]})

    assert (added.status, added.json["added"]) == (200, 1)
    assert chat_api.say(eve, chat, "hello").status == 201


def test_adding_members_again_changes_nothing(ann, bob, chat):
    again = ann.client.post(
        f"/groupchat/{chat}/members", {"user_ids": [bob.id, ann.id]}
    )

    assert again.json["added"] == 0
    assert ann.client.get(f"/groupchat/{chat}").json["role"] == "owner"


def test_removed_member_is_out(chat_api, ann, bob, chat):
    removed = ann.client.delete(f"/groupchat/{chat}/members/{bob.id}")

    assert removed.status == 204
    assert chat_api.say(bob, chat, "hello").status == 404
    assert ann.client.delete(f"/groupchat/{chat}/members/{bob.id}").status == 404


def test_member_may_leave(bob, chat):
    assert bob.client.delete(f"/groupchat/{chat}/members/{bob.id}").status == 204
    assert bob.client.get(f"/groupchat/{chat}").status == 404


def test_members_are_paged_in_order(chat_api, ann, chat):
    more = [chat_api.user(f"user {number}").id for number in range(5)]
    ann.client.post(f"/groupchat/{chat}/members", {"user_ids": more})
    everyone = ann.client.get(f"/groupchat/{chat}").json["members"]

    first = ann.client.get(f"/groupchat/{chat}/members?limit=4").json
    after = first["members"][-1]["id"]
    rest = ann.client.get(f"/groupchat/{chat}/members?limit=4&after={after}").json

    assert [member["id"] for member in first["members"] + rest["members"]] == everyone
    assert {(m["name"], m["role"]) for m in first["members"]} >= {("Ann", "owner")}
    assert (first["has_more"], rest["has_more"]) == (True, False)


def test_list_is_ordered_by_the_last_message_and_counts_the_unread(chat_api, ann, bob):
    quiet, first, second = (chat_api.chat(ann, bob, name=n) for n in ("0", "1", "2"))
    chat_api.say(ann, second, "in 2")
    chat_api.say(ann, first, "in 1")
    chat_api.say(ann, first, "again in 1")

    listed = bob.client.get("/groupchat").json["conversations"]

    assert [each["id"] for each in listed] == [first, second, quiet]
    assert [each["unread"] for each in listed] == [2, 1, 0]
    assert listed[0]["last_message"]["text"] == "again in 1"
    assert listed[2]["last_message"] is None


def test_list_is_paged_to_its_end(chat_api, ann):
    made = [chat_api.chat(ann) for _ in range(7)]
    for number in (3, 5):
        chat_api.say(ann, made[number], "hi")

    seen, place = [], ""
    for _ in range(4):
        page = ann.client.get(f"/groupchat?limit=2{place}").json
        seen += [each["id"] for each in page["conversations"]]
        place = f"&before={page['next']}"

    assert seen == [made[n] for n in (5, 3, 6, 4, 2, 1, 0)]
    assert page["next"] is None


def test_list_shows_only_ones_own(chat_api, ann, eve, chat):
    assert eve.client.get("/groupchat").json == {"conversations": [], "next": None}


def test_renamed_conversation_has_its_new_name(ann, bob, chat):
    answer = ann.client.patch(f"/groupchat/{chat}", {"name": "Dinner"})

    assert (answer.status, answer.json["name"]) == (200, "Dinner")
    assert bob.client.get(f"/groupchat/{chat}").json["name"] == "Dinner"


def test_ended_conversation_is_gone_for_everybody(chat_api, ann, bob, chat):
    assert ann.client.delete(f"/groupchat/{chat}").status == 204

    assert ann.client.get(f"/groupchat/{chat}").status == 404
    assert bob.client.get("/groupchat").json["conversations"] == []
    assert chat_api.say(bob, chat, "anyone?").status == 404
    assert ann.client.delete(f"/groupchat/{chat}").status == 404


def test_new_owner_may_do_what_an_owner_may(ann, bob, chat):
    ann.client.put(f"/groupchat/{chat}/members/{bob.id}", {"role": "owner"})

    assert bob.client.patch(f"/groupchat/{chat}", {"name": "Mine"}).status == 200
    assert ann.client.delete(f"/groupchat/{chat}/members/{ann.id}").status == 204


def test_last_owner_stays_while_others_are_there(ann, bob, chat):
    itself = f"/groupchat/{chat}/members/{ann.id}"

    assert ann.client.delete(itself).code == "conflict"
    assert ann.client.put(itself, {"role": "member"}).code == "conflict"
    assert ann.client.put(itself, {"role": "owner"}).status == 204

    ann.client.delete(f"/groupchat/{chat}/members/{bob.id}")
    assert ann.client.delete(itself).status == 204


@pytest.fixture
def ownerless(chat_api, ann, bob):
    """A conversation without an owner."""
    members = [ann.id, bob.id]
    made = chat_api.service.post("/groupchat", {"name": "Lunch", "members": members})
    return int(made.json["id"])


def test_conversation_without_an_owner_can_be_left(chat_api, ann, bob, ownerless):
    path = f"/groupchat/{ownerless}/members"

    left = ann.client.delete(f"{path}/{ann.id}")
    taken_out = chat_api.service.delete(f"{path}/{bob.id}")

    assert (left.status, taken_out.status) == (204, 204)
    assert chat_api.service.get(path).json["members"] == []


def test_member_of_a_conversation_without_an_owner_stays_one(chat_api, ann, ownerless):
    path = f"/groupchat/{ownerless}/members/{ann.id}"

    assert chat_api.service.put(path, {"role": "member"}).status == 204
    assert ann.client.get(f"/groupchat/{ownerless}").json["role"] == "member"


@pytest.mark.parametrize("role", ["owner", "member"])
def test_role_of_a_stranger_cannot_be_set(chat_api, ann, eve, chat, ownerless, role):
    answers = [
        client.put(f"/groupchat/{number}/members/{eve.id}", {"role": role})
        for client, number in ((ann.client, chat), (chat_api.service, ownerless))
    ]

    assert [answer.status for answer in answers] == [404, 404]


def test_stranger_cannot_be_taken_out(chat_api, ann, eve, chat, ownerless):
    answers = [
        client.delete(f"/groupchat/{number}/members/{eve.id}")
        for client, number in ((ann.client, chat), (chat_api.service, ownerless))
    ]

    assert [answer.status for answer in answers] == [404, 404]


def test_outsider_cannot_find_out_whether_a_conversation_exists(eve, chat):
    answer = eve.client.delete(f"/groupchat/{chat}/members/{eve.id}")

    nowhere = eve.client.delete(f"/groupchat/999/members/{eve.id}")
    assert (answer.status, answer.body) == (404, nowhere.body)


def test_mute_lasts_until_its_time_and_can_be_ended(bob, chat):
    def muted() -> str | None:
        return bob.client.get("/groupchat").json["conversations"][0]["muted_until"]

    bob.client.put(f"/groupchat/{chat}/mute", {"until": "2999-01-01T01:00:00+01:00"})
    assert muted() == "2999-01-01T00:00:00Z"

    bob.client.put(f"/groupchat/{chat}/mute", {"until": "2020-01-01T00:00:00Z"})
    assert muted() is None

    bob.client.put(f"/groupchat/{chat}/mute", {"until": "2999-01-01T00:00:00Z"})
    bob.client.put(f"/groupchat/{chat}/mute", {"until": None})
    assert muted() is None
