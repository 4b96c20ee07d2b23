"""Tokens that expire, are revoked, or end with a logout."""

from datetime import timedelta

from sqlalchemy import update

from models.accounts import ApiToken
from models.base import utc_now
from tests.support.chat_api import ON_EVERY_DATABASE

pytestmark = ON_EVERY_DATABASE


def new_token(chat_api, user, **body):
    return chat_api.service.post(f"/users/{user.id}/tokens", body).json


def test_every_token_of_a_user_opens_the_door(chat_api, ann):
    other = new_token(chat_api, ann)

    assert ann.client.get("/devices").status == 200
    assert ann.client.as_user(other["token"]).get("/devices").status == 200
    assert other["expires_at"] is None


def test_token_ends_at_its_time(chat_api, ann):
    token = new_token(chat_api, ann, expires_in=3600)
    client = ann.client.as_user(token["token"])
    assert client.get("/devices").status == 200

    with chat_api.store.write() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(
            update(ApiToken).where(ApiToken.id == token["id"]).values(expires_at=past)
        )

    assert client.get("/devices").code == "unauthorized"
    assert ann.client.get("/devices").status == 200


def test_revoked_token_opens_nothing_any_more(chat_api, ann):
    token = new_token(chat_api, ann)
    path = f"/users/{ann.id}/tokens/{token['id']}"

    assert chat_api.service.delete(path).status == 204

    assert ann.client.as_user(token["token"]).get("/devices").status == 401
    assert ann.client.get("/devices").status == 200
    assert chat_api.service.delete(path).status == 204


def test_tokens_are_listed_without_their_secret(chat_api, ann, bob):
    token = new_token(chat_api, ann, expires_in=60)

    answer = chat_api.service.get(f"/users/{ann.id}/tokens")

    assert token["id"] in [each["id"] for each in answer.json["tokens"]]
    assert len(answer.json["tokens"]) == 2
    assert token["token"].encode() not in answer.body


def test_token_of_another_user_is_not_revoked(chat_api, ann, bob):
    token = new_token(chat_api, ann)

    answer = chat_api.service.delete(f"/users/{bob.id}/tokens/{token['id']}")

    assert answer.status == 404
    assert ann.client.as_user(token["token"]).get("/devices").status == 200


def test_an_unknown_user_has_no_tokens_and_gets_none(chat_api):
    assert chat_api.service.post("/users/777/tokens", {}).code == "not_found"
    assert chat_api.service.get("/users/777/tokens").code == "not_found"


def test_logging_out_ends_the_token_and_forgets_the_device(chat_api, ann):
    other = ann.client.as_user(new_token(chat_api, ann)["token"])
    device = ann.client.post("/devices", {"platform": "apns", "token": "t"}).json["id"]

    assert ann.client.post("/logout", {"device_id": device}).status == 204

    assert ann.client.get("/devices").status == 401
    assert other.get("/devices").json["devices"] == []


def test_logging_out_with_the_device_of_another_leaves_it_to_them(ann, bob):
    device = ann.client.post("/devices", {"platform": "apns", "token": "t"}).json["id"]

    assert bob.client.post("/logout", {"device_id": device}).status == 204

    assert bob.client.get("/devices").status == 401
    assert len(ann.client.get("/devices").json["devices"]) == 1


def test_logging_out_with_a_device_that_is_gone_ends_the_token(ann):
    device = ann.client.post("/devices", {"platform": "apns", "token": "t"}).json["id"]
    ann.client.delete(f"/devices/{device}")

    assert ann.client.post("/logout", {"device_id": device}).status == 204

    assert ann.client.get("/devices").status == 401
