"""Who may begin conversations and add members, and how many."""

import pytest

from api.seats import Seats
from datastore import Datastore
from tests.support import databases
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi
from tests.support.clock import Clock

FORBIDDEN = (403, "forbidden")


@pytest.fixture
def make_api(tmp_path, kind):
    """Builds an API with rules of its own."""
    built = []

    def make(**rules) -> ChatApi:
        store = Datastore(databases.fresh_url(kind, tmp_path))
        built.append(ChatApi(store, seats=Seats(**rules)))
        return built[-1]

    yield make
    for each in built:
        each.store.close()


def create(who, *members):
    body = {"name": "Lunch", "members": [member.id for member in members]}
    return who.client.post("/groupchat", body)


def add(client, chat, *members):
    ids = [member.id for member in members]
    return client.post(f"/groupchat/{chat}/members", {"user_ids": ids})


@ON_EVERY_DATABASE
def test_acquaintances_share_a_conversation(make_api):
    chat_api = make_api(add_members="acquaintances")
    ann, bob, eve = (chat_api.user(name) for name in ("Ann", "Bob", "Eve"))
    body = {"name": "Town", "members": [ann.id, bob.id]}
    town = chat_api.service.post("/groupchat", body).json["id"]
    alone = create(ann)
    lunch = alone.json["id"]

    with_bob, with_eve = create(ann, bob), create(ann, bob, eve)
    added, refused = add(ann.client, lunch, bob), add(ann.client, lunch, eve)

    assert (alone.status, with_bob.status, added.json["added"]) == (201, 201, 1)
    assert (with_eve.status, with_eve.code) == FORBIDDEN
    assert (refused.status, refused.code) == FORBIDDEN
    assert refused.json["error"]["details"] == {"user_ids": [eve.id]}
    assert add(chat_api.service, town, eve).json["added"] == 1
    assert add(ann.client, lunch, eve).json["added"] == 1


@ON_EVERY_DATABASE
@pytest.mark.parametrize("ending", ["left", "ended"])
def test_who_shared_a_conversation_once_is_a_stranger(make_api, ending):
    chat_api = make_api(add_members="acquaintances")
    ann, bob = chat_api.user("Ann"), chat_api.user("Bob")
    body = {"name": "Town", "members": [ann.id, bob.id]}
    town = chat_api.service.post("/groupchat", body).json["id"]
    if ending == "left":
        bob.client.delete(f"/groupchat/{town}/members/{bob.id}")
    else:
        chat_api.service.delete(f"/groupchat/{town}")

    assert create(ann, bob).status == 403


def test_strangers_are_named_whether_they_exist_or_not(make_api):
    chat_api = make_api(add_members="acquaintances")
    ann, eve = chat_api.user("Ann"), chat_api.user("Eve")
    body = {"name": "x", "members": [eve.id, 777]}

    answer = ann.client.post("/groupchat", body)

    assert answer.status == 403
    assert answer.json["error"]["details"] == {"user_ids": [eve.id, 777]}


def test_with_service_only_the_service_key_adds_members(make_api):
    chat_api = make_api(add_members="service")
    ann, eve = chat_api.user("Ann"), chat_api.user("Eve")
    body = {"name": "Town", "owner": ann.id}
    town = chat_api.service.post("/groupchat", body).json["id"]

    refused = [create(ann), create(ann, eve), add(ann.client, town, eve)]

    assert [(each.status, each.code) for each in refused] == [FORBIDDEN] * 3
    assert add(chat_api.service, town, eve).json["added"] == 1


def test_outsiders_and_members_get_the_same_answers_as_before(make_api):
    chat_api = make_api(add_members="service")
    ann, bob, eve = (chat_api.user(name) for name in ("Ann", "Bob", "Eve"))
    body = {"name": "Town", "owner": ann.id, "members": [bob.id]}
    town = chat_api.service.post("/groupchat", body).json["id"]

    assert add(eve.client, town, eve).status == 404
    assert (add(bob.client, town, eve).status) == 403


def test_members_of_an_hour_are_limited_together(make_api):
    clock = Clock()
    chat_api = make_api(per_hour=6, clock=clock)
    ann, *others = (chat_api.user(str(number)) for number in range(12))
    lunch = create(ann, *others[:3]).json["id"]

    added = add(ann.client, lunch, *others[:6])
    refused = add(ann.client, lunch, others[7], others[8])

    assert added.json == {"added": 3, "refused": []}
    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert int(refused.headers["retry-after"]) == 1200
    assert create(ann).status == 429
    # Whoever is a member already takes nothing.
    assert add(ann.client, lunch, *others[:6]).json["added"] == 0
    clock.now += 1200
    assert add(ann.client, lunch, others[7], others[8]).json["added"] == 2


def test_limit_is_a_users_own_and_the_service_has_none(make_api):
    chat_api = make_api(per_hour=2, clock=Clock())
    ann, bob, *others = (chat_api.user(str(number)) for number in range(9))
    lunch = create(ann, *others[:2]).json["id"]

    assert create(ann).status == 429
    assert create(bob, others[0]).status == 201
    assert add(chat_api.service, lunch, *others).json["added"] == 5


@pytest.mark.parametrize(
    ("per_hour", "most"), [(0, 1000), (5, 5), (1000, 1000), (10_000, 1000)]
)
def test_members_of_a_request_are_bounded(make_api, per_hour, most):
    chat_api = make_api(per_hour=per_hour, clock=Clock())
    ann = chat_api.user("Ann")
    unknown = list(range(1000, 1000 + most))

    fits = ann.client.post("/groupchat", {"name": "x", "members": [*unknown, ann.id]})
    over = ann.client.post("/groupchat", {"name": "x", "members": [*unknown, 999]})

    assert fits.status == 404
    assert (over.status, over.code) == (400, "invalid")
    assert f"{most} members" in over.json["error"]["message"]


def test_a_full_hour_may_be_added_at_once(make_api):
    chat_api = make_api(per_hour=7, clock=Clock())
    ann, *others = (chat_api.user(str(number)) for number in range(8))

    assert create(ann, *others).status == 201
    assert create(ann).status == 429
