"""The API with the app's own tokens."""

import time

import pytest
from jwt import PyJWK

from api.app_tokens import AppTokens
from models.accounts import User as UserRow
from models.base import utc_now
from tests.support.app_tokens import AUDIENCE, ISSUER, Signer
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi, User
from tests.support.server import Server

SIGNER = Signer()


def trusting(chat_api: ChatApi, subject) -> ChatApi:
    """The same API, which also accepts the app's own tokens."""
    keys = [PyJWK(SIGNER.jwk)]
    tokens = AppTokens(keys, audience=AUDIENCE, issuer=ISSUER, subject=subject)
    return ChatApi(chat_api.store, app_tokens=tokens)


@pytest.fixture
def by_id(chat_api):
    return trusting(chat_api, "id")


@pytest.fixture
def by_external_id(chat_api):
    return trusting(chat_api, "external_id")


@pytest.fixture
def imported(chat_api) -> User:
    """A user with the external id "Zoe"."""
    with chat_api.store.write() as session:
        zoe = UserRow(name="Zoe", external_id="Zoe", created_at=utc_now())
        session.add(zoe)
        session.flush()
        return User(zoe.id, chat_api.anonymous)


def ask(chat_api, token: str, path: str = "/devices"):
    return chat_api.anonymous.as_user(token).get(path)


def test_token_of_the_app_is_as_good_as_one_of_ours(by_id, ann, bob):
    chat = by_id.chat(ann, bob)
    bobs = by_id.anonymous.as_user(SIGNER.token(str(bob.id)))

    sent = bobs.post("/groupchat/send", {"conversation": chat, "message": "Noon?"})

    assert (sent.status, sent.json["message"]["sender"]) == (201, bob.id)


def test_tokens_of_ours_stay_good_beside_it(by_id, ann):
    assert ask(by_id, ann.client.token).status == 200
    assert by_id.service.get("/users/1/tokens").status == 200


@ON_EVERY_DATABASE
def test_user_is_found_by_what_the_app_calls_them(by_external_id, imported):
    zoe = by_external_id.anonymous.as_user(SIGNER.token("Zoe"))

    chat = zoe.post("/groupchat", {"name": "Lunch"}).json

    members = zoe.get(f"/groupchat/{chat['id']}/members").json["members"]
    assert [member["id"] for member in members] == [imported.id]


@ON_EVERY_DATABASE
@pytest.mark.parametrize("subject", ["zoe", "ZOE", "Zoe ", "Zoé", "1", "", "x" * 101])
def test_an_inexact_external_id_is_an_unknown_user(by_external_id, imported, subject):
    answer = ask(by_external_id, SIGNER.token(subject))

    assert (answer.status, answer.code) == (401, "unknown_user")


@pytest.mark.parametrize(
    "subject", ["999", "0", "-1", "01", "1.0", "\u0661", "9" * 30, "Z"]
)
def test_an_unused_id_is_an_unknown_user(by_id, ann, subject):
    answer = ask(by_id, SIGNER.token(subject))

    assert (answer.status, answer.code) == (401, "unknown_user")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"exp": 1}, "token_expired"),
        ({"nbf": time.time() + 86_400}, "token_not_yet_valid"),
        ({"aud": "x"}, "wrong_audience"),
        ({"iss": "x"}, "wrong_issuer"),
        ({"exp": None}, "unauthorized"),
    ],
)
def test_refusal_says_why_and_nothing_of_the_token(by_id, ann, changed, code):
    token = SIGNER.token(str(ann.id), **changed)

    answer = ask(by_id, token)

    assert (answer.status, answer.code) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json["error"]["details"] == {}
    for secret in (token.split(".")[1], AUDIENCE, ISSUER):
        assert secret not in answer.body.decode()


def test_an_unverified_token_gets_no_details(by_id, ann):
    stranger = Signer()

    known = ask(by_id, stranger.token(str(ann.id)))
    unknown = ask(by_id, stranger.token("999", exp=1, aud="x"))

    assert known.code == unknown.code == "unauthorized"
    assert known.body == unknown.body


def test_user_of_the_app_is_not_the_service(by_id, ann):
    answer = ask(by_id, SIGNER.token(str(ann.id)), "/users/1/tokens")

    assert (answer.status, answer.code) == (403, "forbidden")


def test_logging_out_removes_the_device_and_cannot_end_the_token(by_id, ann):
    client = by_id.anonymous.as_user(SIGNER.token(str(ann.id)))
    device = client.post("/devices", {"platform": "fcm", "token": "x"}).json

    answer = client.post("/logout", {"device_id": device["id"]})

    assert answer.status == 204
    assert client.get("/devices").json["devices"] == []


def test_without_the_settings_such_a_token_opens_nothing(chat_api, ann):
    answer = ask(chat_api, SIGNER.token(str(ann.id)))

    assert (answer.status, answer.code) == (401, "unauthorized")


def test_server_takes_its_keys_from_the_settings(tmp_path):
    (tmp_path / "app.pem").write_bytes(SIGNER.pem)
    environment = {
        "BOTTLEPOST_JWT_KEY_FILE": str(tmp_path / "app.pem"),
        "BOTTLEPOST_JWT_AUDIENCE": AUDIENCE,
        "BOTTLEPOST_JWT_ISSUER": ISSUER,
        "BOTTLEPOST_VAPID_SUBJECT": "mailto:ops@example.org",
    }

    with Server(tmp_path, environment) as server:
        ann_id, _ = server.user("Ann")
        ann = server.client.as_user(SIGNER.token(str(ann_id)))

        assert ann.get("/devices").status == 200
        # This tests that the settings reach the API.
        assert len(ann.get("/webpush/key").json["public_key"]) == 87
        ann.close()
