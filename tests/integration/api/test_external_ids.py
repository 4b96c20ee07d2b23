"""External ids of users and conversations."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from models.accounts import User
from models.chats import Chat
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi
from tests.support.client import Reply
from tests.support.uploads import conversation, json_lines, member, user

NOT_A_KEY = ["", "a b", "a\n", "é", "x" * 101, 7]


def make_user(chat_api: ChatApi, name: str, external_id: str | None = "u-1") -> Reply:
    return chat_api.service.post("/users", {"name": name, "external_id": external_id})


def make_chat(chat_api: ChatApi, name: str, **more: object) -> Reply:
    sent = {"name": name, "external_id": "c-1", **more}
    return chat_api.service.post("/groupchat", sent)


def count(chat_api: ChatApi, model: type) -> int:
    with chat_api.store.read() as session:
        return session.scalars(select(func.count()).select_from(model)).one()


@ON_EVERY_DATABASE
def test_user_posted_again_is_the_one_of_the_first_time(chat_api: ChatApi) -> None:
    first, again = make_user(chat_api, "Ann"), make_user(chat_api, "Anna")

    assert (first.status, again.status) == (201, 200)
    same = ("id", "external_id", "name", "created_at")
    assert [first.json[key] for key in same] == [again.json[key] for key in same]
    assert again.json["name"] == "Ann"
    # The first token cannot be shown again, so the response has another one.
    assert first.json["token"] != again.json["token"]
    for answer in (first, again):
        reader = chat_api.anonymous.as_user(answer.json["token"])
        assert reader.get("/groupchat").status == 200
    assert count(chat_api, User) == 1


@ON_EVERY_DATABASE
def test_conversation_posted_again_is_the_one_of_the_first_time(
    chat_api: ChatApi, ann, bob
) -> None:
    first = make_chat(chat_api, "Lunch", owner=ann.id, members=[bob.id])
    again = make_chat(chat_api, "Dinner", members=[])

    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert (again.json["external_id"], again.json["name"]) == ("c-1", "Lunch")
    assert again.json["members"] == sorted([ann.id, bob.id])
    assert ann.client.get(f"/groupchat/{first.json['id']}").json["role"] == "owner"
    assert count(chat_api, Chat) == 1


def test_users_without_an_external_id_are_each_their_own(chat_api: ChatApi) -> None:
    first, second = make_user(chat_api, "Ann", None), make_user(chat_api, "Ann", None)

    assert (first.status, second.status) == (201, 201)
    assert first.json["id"] != second.json["id"]
    assert second.json["external_id"] is None


def test_an_import_and_the_api_mean_the_same_by_a_name(chat_api: ChatApi) -> None:
    ann, lunch = make_user(chat_api, "Ann").json, make_chat(chat_api, "Lunch").json
    rows = json_lines(user("u-1", "Anna"), conversation("c-1"), member("c-1", "u-1"))

    chat_api.service.request(
        "POST", "/import", rows, CONTENT_TYPE="application/x-ndjson"
    )
    chat_api.work()

    assert chat_api.service.get("/users?external_id=u-1").json["id"] == ann["id"]
    shown = chat_api.service.get(f"/groupchat/{lunch['id']}").json
    assert shown["members"] == [ann["id"]]
    # An import also changes names.
    assert make_user(chat_api, "Ann").json["name"] == "Anna"


def test_members_see_the_external_id(chat_api: ChatApi, ann) -> None:
    chat = make_chat(chat_api, "Lunch", members=[ann.id]).json["id"]

    (listed,) = ann.client.get("/groupchat").json["conversations"]

    assert listed["external_id"] == "c-1"
    assert ann.client.get(f"/groupchat/{chat}").json["external_id"] == "c-1"


@pytest.mark.parametrize("more", [{"external_id": "c-1"}, {"owner": 1}])
def test_members_cannot_take_a_name_that_is_the_backends(
    chat_api: ChatApi, ann, more
) -> None:
    answer = ann.client.post("/groupchat", {"name": "Trap", **more})

    assert (answer.status, answer.code) == (403, "forbidden")
    assert count(chat_api, Chat) == 0


def test_conversation_of_the_service_needs_no_members(chat_api: ChatApi) -> None:
    made = make_chat(chat_api, "Lunch").json

    assert (made["role"], made["members"]) == (None, [])


def test_unknown_owner_is_named(chat_api: ChatApi) -> None:
    answer = make_chat(chat_api, "Lunch", owner=777)

    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.json["error"]["details"] == {"user_ids": [777]}


def test_ended_conversation_does_not_come_back(chat_api: ChatApi) -> None:
    made = make_chat(chat_api, "Lunch").json
    chat_api.service.delete(f"/groupchat/{made['id']}")

    answer = make_chat(chat_api, "Lunch")

    assert (answer.status, answer.code) == (409, "conflict")


@ON_EVERY_DATABASE
def test_upper_and_lower_case_are_never_taken_for_the_same(chat_api: ChatApi) -> None:
    ann, other = make_user(chat_api, "Ann", "ann"), make_user(chat_api, "Bob", "ANN")

    # A database that treats them as equal refuses the second one.
    assert other.status in (201, 409)
    assert other.json.get("id") != ann.json["id"]


@pytest.mark.parametrize("external_id", NOT_A_KEY)
@pytest.mark.parametrize("path", ["/users", "/groupchat"])
def test_what_is_no_name_is_refused(chat_api: ChatApi, path, external_id) -> None:
    sent = {"name": "x", "external_id": external_id}

    assert chat_api.service.post(path, sent).code == "invalid"


def test_user_gets_another_name(chat_api: ChatApi, ann, bob, chat) -> None:
    answer = chat_api.service.patch(f"/users/{ann.id}", {"name": "Anna"})

    assert (answer.status, answer.json["name"]) == (200, "Anna")
    members = bob.client.get(f"/groupchat/{chat}/members").json["members"]
    assert members[0]["name"] == "Anna"
    assert chat_api.service.patch("/users/777", {"name": "x"}).code == "not_found"


@ON_EVERY_DATABASE
def test_posted_at_the_same_time_it_is_made_once(chat_api: ChatApi) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: make_user(chat_api, "Ann"), range(8)))

    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
