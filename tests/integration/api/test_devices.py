"""POST, GET and DELETE /devices."""

import threading

import pytest
from sqlalchemy import update

from datastore import accounts
from models.accounts import Device
from models.base import utc_now
from tests.support.chat_api import ON_EVERY_DATABASE

pytestmark = ON_EVERY_DATABASE


TOKEN = {"platform": "apns", "token": "ab" * 32}


def test_new_device_is_201_and_a_known_one_200(ann):
    first = ann.client.post("/devices", TOKEN)
    again = ann.client.post("/devices", TOKEN)

    assert (first.status, again.status) == (201, 200)
    assert first.json["id"] == again.json["id"]
    assert again.json["registered_at"] > first.json["registered_at"]


def test_hexadecimal_token_of_apple_is_one_device_in_either_case(ann, bob):
    first = ann.client.post("/devices", {**TOKEN, "token": "AB" * 32})
    again = bob.client.post("/devices", {**TOKEN, "token": "ab" * 32})

    assert (first.status, again.status) == (201, 200)
    assert first.json["token"] == again.json["token"] == "ab" * 32
    assert first.json["id"] == again.json["id"]


def test_every_field_is_kept(ann):
    device = {
        **TOKEN,
        "app": "com.example.chat",
        "environment": "sandbox",
        # As Android may write it.
        "locale": "zh_TW_#Hant",
    }

    ann.client.post("/devices", device)

    (kept,) = ann.client.get("/devices").json["devices"]
    assert {name: kept[name] for name in device} == device
    assert kept["disabled_at"] is None


def test_gcm_is_an_older_name_of_fcm(ann):
    names = ["GCM", "gcm", "FCM", "fcm"]

    answers = [
        ann.client.post("/devices", {"platform": name, "token": "one"})
        for name in names
    ]

    assert [answer.status for answer in answers] == [201, 200, 200, 200]
    assert {answer.json["platform"] for answer in answers} == {"fcm"}


def test_token_belongs_to_the_user_who_registered_it_last(ann, bob):
    first = ann.client.post("/devices", TOKEN)
    taken = bob.client.post("/devices", TOKEN)

    assert (taken.status, taken.json["id"]) == (200, first.json["id"])
    assert ann.client.get("/devices").json["devices"] == []
    assert len(bob.client.get("/devices").json["devices"]) == 1


def test_registering_again_enables_a_dead_device(chat_api, ann):
    device_id = ann.client.post("/devices", TOKEN).json["id"]
    with chat_api.store.write() as session:
        device = session.get(Device, device_id)
        device.disabled_at, device.reason = utc_now(), "Unregistered"

    again = ann.client.post("/devices", TOKEN).json

    assert (again["disabled_at"], again["reason"]) == (None, None)


def test_same_token_on_two_platforms_is_two_devices(ann):
    ann.client.post("/devices", {"platform": "apns", "token": "same"})
    ann.client.post("/devices", {"platform": "fcm", "token": "same"})

    assert len(ann.client.get("/devices").json["devices"]) == 2


def test_token_registered_by_many_at_once_is_one_device(ann, bob):
    ready = threading.Barrier(6)
    answers = []

    def register(who) -> None:
        ready.wait(60)
        answers.append(who.client.post("/devices", TOKEN))

    threads = [threading.Thread(target=register, args=(w,)) for w in (ann, bob) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)

    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1


def test_removed_device_is_gone(ann):
    device_id = ann.client.post("/devices", TOKEN).json["id"]

    assert ann.client.delete(f"/devices/{device_id}").status == 204

    assert ann.client.get("/devices").json["devices"] == []
    assert ann.client.delete(f"/devices/{device_id}").status == 404


def test_a_user_cannot_remove_another_users_device(ann, bob):
    device_id = ann.client.post("/devices", TOKEN).json["id"]

    assert bob.client.delete(f"/devices/{device_id}").status == 404
    assert len(ann.client.get("/devices").json["devices"]) == 1


@pytest.mark.parametrize("platform", ["apns", "fcm"])
def test_service_registers_devices_of_a_user(chat_api, ann, platform):
    path, body = f"/users/{ann.id}/devices", {"platform": platform, "token": "t"}

    first, again = chat_api.service.post(path, body), chat_api.service.post(path, body)

    assert (first.status, again.status) == (201, 200)
    assert ann.client.get("/devices").json["devices"] == [again.json]


def test_service_sees_and_removes_devices_of_a_user(chat_api, ann, bob):
    device = ann.client.post("/devices", TOKEN).json
    path = f"/users/{ann.id}/devices"

    listed = chat_api.service.get(path)
    of_another = chat_api.service.delete(f"/users/{bob.id}/devices/{device['id']}")
    removed = chat_api.service.delete(f"{path}/{device['id']}")

    assert listed.json == {"devices": [device]}
    assert (of_another.status, removed.status) == (404, 204)
    assert chat_api.service.get(path).json == {"devices": []}


def test_an_unknown_user_gets_no_devices(chat_api):
    posted = chat_api.service.post("/users/777/devices", TOKEN)
    listed = chat_api.service.get("/users/777/devices")

    assert (posted.status, posted.code) == (404, "not_found")
    assert (listed.status, listed.code) == (404, "not_found")


@pytest.fixture
def full(monkeypatch, ann):
    """The tokens of Ann, who has reached the limit of devices."""
    monkeypatch.setattr(accounts, "MOST_DEVICES", 3)
    tokens = [{"platform": "apns", "token": f"t{number}"} for number in range(3)]
    assert [ann.client.post("/devices", each).status for each in tokens] == [201] * 3
    return tokens


def test_user_has_a_limited_number_of_devices(chat_api, ann, bob, full):
    bob.client.post("/devices", TOKEN)

    answers = [
        ann.client.post("/devices", {**TOKEN, "token": "new"}),
        chat_api.service.post(f"/users/{ann.id}/devices", {**TOKEN, "token": "new"}),
        # Another user's device until now.
        ann.client.post("/devices", TOKEN),
    ]

    assert {(answer.status, answer.code) for answer in answers} == {(409, "conflict")}
    assert "3 devices" in answers[0].json["error"]["message"]
    assert len(bob.client.get("/devices").json["devices"]) == 1
    assert ann.client.post("/devices", full[0]).status == 200


def test_removed_device_makes_room(ann, full):
    device_id = ann.client.get("/devices").json["devices"][0]["id"]

    ann.client.delete(f"/devices/{device_id}")

    assert ann.client.post("/devices", TOKEN).status == 201


def test_dead_devices_make_room(chat_api, ann, full):
    with chat_api.store.write() as session:
        dead = update(Device).where(Device.token == "t1").values(disabled_at=utc_now())
        session.execute(dead)

    answer = ann.client.post("/devices", TOKEN)

    assert answer.status == 201
    kept = {each["token"] for each in ann.client.get("/devices").json["devices"]}
    assert kept == {"t0", "t2", TOKEN["token"]}
