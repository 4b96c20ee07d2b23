"""POST /devices for browsers and mailboxes, and the key that browsers need."""

import json

import pytest

from sandbox.browsers.browser import Browser, b64
from tests.support.chat_api import ChatApi


@pytest.fixture
def browser() -> Browser:
    return Browser("https://push.example.org/send/1")


def webpush(token: object) -> dict[str, object]:
    return {"platform": "webpush", "token": token}


def email(address: str) -> dict[str, str]:
    return {"platform": "email", "token": address}


def test_subscription_of_a_browser_is_a_device(ann, browser):
    answer = ann.client.post("/devices", webpush(browser.token))

    assert answer.status == 201
    kept = json.loads(answer.json["token"])
    assert kept["endpoint"] == "https://push.example.org/send/1"
    assert kept["keys"]["p256dh"] == b64(browser.point)


def test_subscription_written_in_another_way_is_the_same_device(ann, browser):
    said = json.loads(browser.token)
    otherwise = json.dumps({"expirationTime": None, **said}, indent=2)

    first = ann.client.post("/devices", webpush(browser.token))
    again = ann.client.post("/devices", webpush(otherwise))

    assert (again.status, again.json["id"]) == (200, first.json["id"])


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("abcdef", "a subscription must be JSON"),
        ("[]", "a subscription must be a JSON object"),
        (
            '{"endpoint": "http://push.example.org/1"}',
            "the subscription's endpoint must begin with https://",
        ),
        ('{"endpoint": "https://push.example.org/1"}', "the subscription has no keys"),
    ],
)
def test_what_is_no_subscription_is_refused_with_the_reason(ann, token, problem):
    answer = ann.client.post("/devices", webpush(token))

    assert (answer.status, answer.code) == (400, "invalid")
    problems = answer.json["error"]["details"]["problems"]
    assert problems == [{"field": "token", "problem": problem}]
    assert ann.client.get("/devices").json["devices"] == []


def test_mail_address_is_kept_with_its_domain_in_lower_case(chat_api, ann):
    path = f"/users/{ann.id}/devices"

    first = chat_api.service.post(path, email("Ann@Example.ORG"))
    again = chat_api.service.post(path, email("Ann@example.org"))

    assert (first.status, first.json["token"]) == (201, "Ann@example.org")
    assert (again.status, again.json["id"]) == (200, first.json["id"])
    assert ann.client.get("/devices").json["devices"] == [again.json]


@pytest.mark.parametrize(
    "address", ["ann", "ann@localhost", "a b@example.org", "änn@example.org", "@", ""]
)
def test_what_is_no_address_is_refused(chat_api, ann, address):
    answer = chat_api.service.post(f"/users/{ann.id}/devices", email(address))

    assert (answer.status, answer.code) == (400, "invalid")


def test_user_registers_no_mail_address(chat_api, ann, bob):
    chat_api.service.post(f"/users/{ann.id}/devices", email("ann@example.org"))

    answers = [
        who.client.post("/devices", email("ann@example.org")) for who in (ann, bob)
    ]

    assert {(answer.status, answer.code) for answer in answers} == {(403, "forbidden")}
    assert "service key" in answers[0].json["error"]["message"]
    assert len(ann.client.get("/devices").json["devices"]) == 1


@pytest.mark.parametrize("token", ["a b", "é", "a\n", "x" * 4097, "\0"])
@pytest.mark.parametrize("platform", ["apns", "fcm"])
def test_token_of_a_phone_is_printable_ascii(ann, platform, token):
    answer = ann.client.post("/devices", {"platform": platform, "token": token})

    assert (answer.status, answer.code) == (400, "invalid")


def test_key_for_browsers_is_for_everybody(chat_api):
    with_key = ChatApi(chat_api.store, webpush_key="a-public-key")

    answer = with_key.anonymous.get("/webpush/key")

    assert (answer.status, answer.json) == (200, {"public_key": "a-public-key"})


def test_server_without_web_push_says_so(chat_api):
    answer = chat_api.anonymous.get("/webpush/key")

    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.json["error"]["message"] == "This server does not push to browsers."
