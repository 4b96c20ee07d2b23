"""The push services' rules for signatures, headers, encryption and size."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import faults
from sandbox.browsers import rules
from sandbox.browsers.manners import FAULTS
from tests.support import sandbox as sandboxes
from tests.support.provider_client import Reply
from tests.support.sandbox import Sandbox
from tests.support.webpush_sender import TEXT, WebpushSender, encrypt

PUBLIC_ONLY = ("strict", "apple")


def reason_of(reply: Reply) -> str:
    """The reason, wherever the service has put it."""
    if not reply.body:
        return reply.headers.get("x-wns-error-description", "")
    try:
        answer = json.loads(reply.body)
    except ValueError:
        return reply.body.decode()
    found = answer.get("errno") or answer.get("code") or answer.get("reason")
    return str(found or answer.get("message"))


@pytest.mark.parametrize("manner", rules.MANNERS)
def test_a_push_is_accepted_and_shown_in_clear(
    webpush: WebpushSender, manner: str
) -> None:
    subscription = webpush.subscribe(manner)

    reply = webpush.push(subscription, topic="abc", urgency="high")

    assert reply.status == 201
    [push] = webpush.sandbox.inbox()
    assert reply.headers["location"] == f"{webpush.sandbox.url}/message/{push['id']}"
    assert (push["platform"], push["environment"]) == ("webpush", manner)
    assert json.loads(push["token"]) == subscription
    assert push["payload"] == TEXT
    assert push["headers"] == {
        "ttl": "60",
        "urgency": "high",
        "topic": "abc",
        "content-encoding": "aes128gcm",
    }


def test_a_subscription_of_a_name_survives_a_restart(tmp_path: Path) -> None:
    with sandboxes.running(tmp_path) as sandbox:
        first = sandbox.subscribe(manner="apple", name="anns-phone")
        sender = WebpushSender(sandbox)
        sandbox.restart()

        again = sandbox.subscribe(manner="apple", name="anns-phone")

        assert again == first
        sender = WebpushSender(sandbox)
        assert sender.push(first).status == 201
        sender.client.close()


@pytest.mark.parametrize(
    "wanted",
    [
        {"manner": "opera"},
        {"name": "a b"},
        {"name": 5},
        {"server_key": "AAAA"},
        {"server_key": 5},
        {"colour": "red"},
        [],
    ],
)
def test_a_wrong_request_for_a_subscription_is_refused(
    sandbox: Sandbox, wanted: Any
) -> None:
    with pytest.raises(HTTPError) as caught:
        sandbox.ask("POST", "/subscriptions", body=wanted)

    assert caught.value.code == 400


# -- each service's own words


@pytest.mark.parametrize(
    ("manner", "headers", "status", "reason"),
    [
        ("strict", {"ttl": None}, 400, "TTL is missing"),
        ("strict", {"ttl": "-1"}, 400, "TTL is not a number"),
        ("strict", {"topic": "a" * 33}, 400, "bad topic"),
        ("strict", {"topic": "a.b"}, 400, "bad topic"),
        ("strict", {"topic": "a" * 5}, 400, "bad topic"),
        ("strict", {"urgency": "urgent"}, 400, "unknown urgency"),
        ("strict", {"authorization": None}, 401, "no VAPID authorization"),
        ("strict", {"method": "PUT"}, 405, "only POST is allowed"),
        ("apple", {"ttl": None}, 400, "BadTtl"),
        ("apple", {"ttl": "soon"}, 400, "BadTtl"),
        ("apple", {"urgency": "urgent"}, 400, "BadUrgency"),
        ("apple", {"topic": "a" * 1}, 400, "BadWebPushTopic"),
        ("apple", {"topic": "a" * 29}, 400, "BadWebPushTopic"),
        ("apple", {"topic": "a" * 33}, 400, "BadWebPushTopic"),
        ("apple", {"authorization": None}, 403, "BadJwtToken"),
        ("apple", {"method": "GET"}, 405, "MethodNotAllowed"),
        ("mozilla", {"ttl": None}, 400, "111"),
        ("mozilla", {"ttl": "-1"}, 400, "114"),
        ("mozilla", {"topic": "a" * 33}, 400, "113"),
        ("mozilla", {"content_encoding": None}, 400, "110"),
        ("mozilla", {"content_encoding": "aesgcm"}, 400, "110"),
        ("mozilla", {"encryption": "salt=abc"}, 400, "110"),
        ("mozilla", {"crypto_key": "dh=abc"}, 400, "110"),
        ("mozilla", {"authorization": None}, 401, "109"),
        ("google", {"authorization": None}, 403, "no VAPID authorization\n"),
        ("google", {"ttl": None}, 400, "TTL is missing\n"),
        ("edge", {"ttl": None}, 400, "TTL is missing"),
        ("unifiedpush", {"ttl": None}, 400, "40000"),
    ],
)
def test_wrong_header_is_refused_in_the_services_words(
    webpush: WebpushSender,
    manner: str,
    headers: dict[str, Any],
    status: int,
    reason: str,
) -> None:
    reply = webpush.push(webpush.subscribe(manner), **headers)

    assert (reply.status, reason_of(reply)) == (status, reason)
    assert webpush.sandbox.inbox() == []
    assert webpush.sandbox.stats()["webpush_refused"] == 1


@pytest.mark.parametrize(
    ("manner", "headers"),
    [
        ("mozilla", {"urgency": "urgent"}),
        ("google", {"topic": "a" * 5}),
        ("edge", {"topic": "a" * 5}),
        ("apple", {"topic": "a" * 30}),
        ("apple", {"topic": "a" * 31}),
        ("apple", {"topic": "a" * 32}),
        ("apple", {"ttl": "0"}),
    ],
)
def test_what_a_service_does_not_look_at_is_accepted(
    webpush: WebpushSender, manner: str, headers: dict[str, str]
) -> None:
    assert webpush.push(webpush.subscribe(manner), **headers).status == 201


@pytest.mark.parametrize(
    ("ttl", "policy", "status"),
    [
        ("0", None, 400),
        ("0", "cache", 400),
        ("0", "no-cache", 201),
        ("60", None, 201),
        ("60", "cache", 201),
        ("60", "no-cache", 400),
        ("60", "maybe", 400),
    ],
)
def test_edge_wants_a_cache_policy_that_fits_the_ttl(
    webpush: WebpushSender, ttl: str, policy: str | None, status: int
) -> None:
    subscription = webpush.subscribe("edge")

    reply = webpush.push(subscription, ttl=ttl, x_wns_cache_policy=policy)

    assert reply.status == status
    if status == 400:
        assert reply.body == b""
        assert reply.headers["x-wns-status"] == "dropped"
        assert "X-WNS-Cache-Policy" in reply.headers["x-wns-error-description"]


@pytest.mark.parametrize(
    ("manner", "asked", "granted"),
    [
        ("mozilla", "2592001", "2592000"),
        ("mozilla", "0", "0"),
        ("mozilla-phone", "5", "60"),
        ("mozilla-phone", "2592000", "2419200"),
        ("strict", "99999999", "2592000"),
    ],
)
def test_the_granted_ttl_is_in_the_answer(
    webpush: WebpushSender, manner: str, asked: str, granted: str
) -> None:
    reply = webpush.push(webpush.subscribe(manner), ttl=asked)

    assert (reply.status, reply.headers["ttl"]) == (201, granted)


# -- VAPID


@pytest.mark.parametrize("manner", rules.MANNERS)
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://push.example.org"},
        {"aud": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": int(time.time()) - 100},
        {"exp": int(time.time()) + 26 * 3600},
        {"key": ec.generate_private_key(ec.SECP256R1())},
    ],
    ids=["other origin", "no aud", "no exp", "text", "expired", "too long", "forged"],
)
def test_wrong_signature_is_refused(
    webpush: WebpushSender, manner: str, claims: dict[str, Any]
) -> None:
    reply = webpush.push(
        webpush.subscribe(manner), authorization=webpush.authorization(**claims)
    )

    assert reply.status == (403 if manner in ("apple", "google") else 401)
    if manner == "apple":
        assert reason_of(reply) == "BadJwtToken"


@pytest.mark.parametrize("manner", rules.MANNERS)
@pytest.mark.parametrize(
    "subject",
    [
        None,
        "ops@example.org",
        "mailto:ops@localhost",
        "mailto:ops@mail.local",
        "mailto:ops@mail.invalid",
        "mailto:<ops@example.org>",
        "mailto: ops@example.org",
        "https://localhost",
        "https://LOCALHOST:8080/",
        "http://example.org",
    ],
)
def test_only_apple_looks_at_the_contact(
    webpush: WebpushSender, manner: str, subject: str | None
) -> None:
    reply = webpush.push(
        webpush.subscribe(manner), authorization=webpush.authorization(sub=subject)
    )

    assert (reply.status == 201) == (manner not in PUBLIC_ONLY)


def test_a_web_page_is_a_contact_too(webpush: WebpushSender) -> None:
    authorization = webpush.authorization(sub="https://example.org/contact")

    reply = webpush.push(webpush.subscribe("apple"), authorization=authorization)

    assert reply.status == 201


@pytest.mark.parametrize(
    ("manner", "status", "reason"),
    [
        ("apple", 400, "VapidPkHashMismatch"),
        ("mozilla", 401, "109"),
        ("google", 403, "do not correspond"),
        ("strict", 403, "do not correspond"),
    ],
)
def test_another_key_than_the_subscriptions_is_refused(
    webpush: WebpushSender, manner: str, status: int, reason: str
) -> None:
    other = WebpushSender(webpush.sandbox)

    reply = other.push(webpush.subscribe(manner))

    other.client.close()
    assert reply.status == status
    assert reason in reason_of(reply)


def test_a_key_that_is_none_is_refused(webpush: WebpushSender) -> None:
    authorization = webpush.authorization().partition(", k=")[0] + ", k=AAAA"

    reply = webpush.push(webpush.subscribe("apple"), authorization=authorization)

    assert (reply.status, reason_of(reply)) == (403, "BadVapidPublicKey")


def test_signatures_are_counted(webpush: WebpushSender) -> None:
    subscription, authorization = webpush.subscribe(), webpush.authorization()

    for _ in range(3):
        webpush.push(subscription, authorization=authorization)

    assert webpush.sandbox.stats()["webpush_jwts_seen"] == 1


# -- encryption and size


def test_what_the_browser_cannot_decrypt_is_refused(webpush: WebpushSender) -> None:
    subscription, other = webpush.subscribe(), webpush.subscribe()
    body = encrypt(b"hello", subscription)
    flipped = body[:-1] + bytes([body[-1] ^ 1])
    no_delimiter = encrypt(b"hello", subscription)[:-17]
    off_curve = body[:21] + b"\x04" + bytes(64) + body[86:]

    for broken in (body[:50], flipped, no_delimiter, off_curve):
        assert webpush.post(subscription, broken).status == 400
    assert webpush.post(other, body).status == 400
    assert webpush.post(other, b"").status == 400

    reasons = {push["reason"] for push in webpush.sandbox.inbox(all=1)}
    assert any("encrypted for other keys" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("manner", "largest"), [("mozilla-phone", 2744), ("mozilla", 3993), ("edge", 3993)]
)
def test_a_push_has_a_largest_size(
    webpush: WebpushSender, manner: str, largest: int
) -> None:
    subscription = webpush.subscribe(manner)

    assert webpush.push(subscription, b"x" * largest).status == 201
    assert webpush.push(subscription, b"x" * (largest + 1)).status == 413


# -- subscriptions that end


def test_an_unknown_endpoint_is_not_found(webpush: WebpushSender) -> None:
    known = webpush.subscribe("mozilla")
    forged = {**known, "endpoint": known["endpoint"][:-1] + "~"}

    assert webpush.push(forged).status == 404
    other = {**known, "endpoint": known["endpoint"].replace("/mozilla/", "/apple/")}
    assert webpush.push(other).status == 404


def test_safari_ends_a_subscription_after_three_silent_pushes(
    webpush: WebpushSender,
) -> None:
    """Its service goes on accepting; only the member sees nothing any more."""
    safari, firefox = webpush.subscribe("apple"), webpush.subscribe("mozilla")

    for text in ({"silent": True}, TEXT, {"badge": 3}, {"silent": True}, TEXT):
        assert webpush.push(safari, text).status == 201
        assert webpush.push(firefox, text).status == 201

    shown = [json.loads(push["token"]) for push in webpush.sandbox.inbox()]
    assert [shown.count(safari), shown.count(firefox)] == [4, 5]
    last = webpush.sandbox.inbox(all=1)[-2]
    assert (last["status"], "three silent pushes" in last["reason"]) == (201, True)
    assert webpush.sandbox.stats()["webpush_ended"] == 1


SHOWN = {"title": "Ann", "navigate": "https://example.org/", "silent": True}


@pytest.mark.parametrize(
    ("text", "is_shown"),
    [
        ({"web_push": 8030, "notification": SHOWN}, True),
        ({"web_push": 8030.0, "notification": SHOWN}, True),
        ({"web_push": "8030", "notification": SHOWN}, False),
        ({"web_push": 8030, "notification": {"title": "Ann"}}, False),
        ({"web_push": 8030, "notification": {**SHOWN, "title": ""}}, False),
        ({"web_push": 8030, "notification": {**SHOWN, "navigate": "/chat"}}, False),
        ({"web_push": 8030, "notification": {**SHOWN, "silent": None}}, False),
        ({"web_push": 8030, "notification": {**SHOWN, "dir": "up"}}, False),
        ({"web_push": 8030, "notification": SHOWN, "app_badge": -1}, False),
        ({"title": "Ann", "tag": "a", "options": {"renotify": True}}, True),
        ({"title": "Ann", "options": {"renotify": True}}, False),
        ({"title": "Ann", "options": {"silent": True, "vibrate": [1]}}, False),
        ({"title": "Ann", "options": {"actions": [{"action": "a"}]}}, False),
        ({"title": "Ann", "options": {"timestamp": "now"}}, False),
        ({"title": "Ann", "options": {"dir": "up"}}, False),
        (b"no JSON", True),
    ],
)
def test_a_push_is_shown_only_if_the_browser_takes_it(
    webpush: WebpushSender, text: object, is_shown: bool
) -> None:
    safari = webpush.subscribe("apple")

    for _ in range(4):
        webpush.push(safari, text)

    assert len(webpush.sandbox.inbox()) == (4 if is_shown else 3)


# -- faults


@pytest.mark.parametrize("manner", rules.MANNERS)
@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"slow-body", "flaky"}))
def test_a_fault_name_fails_in_every_manner(
    webpush: WebpushSender, manner: str, name: str
) -> None:
    reply = webpush.push(webpush.subscribe(manner, name=f"{name}-anns-browser"))

    assert 400 <= reply.status < 600


@pytest.mark.parametrize(
    ("manner", "name", "status", "headers"),
    [
        ("mozilla", "unregistered", 410, {"cache-control": "max-age=86400"}),
        ("mozilla", "503-after", 503, {"retry-after": "1"}),
        ("edge", "429", 429, {"retry-after": "1", "x-wns-status": "appthrottled"}),
        (
            "edge",
            "throttled",
            406,
            {"retry-after": "1", "x-wns-status": "channelthrottled"},
        ),
        ("google", "bad-token", 404, {"content-type": "text/html; charset=UTF-8"}),
        ("google", "too-many", 429, {"retry-after": "1"}),
        ("unifiedpush", "no-subscriber", 507, {}),
    ],
)
def test_a_fault_has_the_services_headers(
    webpush: WebpushSender,
    manner: str,
    name: str,
    status: int,
    headers: dict[str, str],
) -> None:
    reply = webpush.push(webpush.subscribe(manner, name=name))

    assert reply.status == status
    assert headers.items() <= reply.headers.items()


@pytest.mark.parametrize("manner", rules.MANNERS)
def test_an_answer_can_be_asked_for(webpush: WebpushSender, manner: str) -> None:
    reply = webpush.push(webpush.subscribe(manner, name="answer-418-Teapot-x"))

    assert reply.status == 418


def test_faults_end_as_they_do_for_phones(webpush: WebpushSender) -> None:
    flaky = webpush.subscribe(name="flaky-2-x")
    once = webpush.subscribe(name="once-unregistered-x")

    assert [webpush.push(flaky).status for _ in range(3)] == [503, 503, 201]
    assert [webpush.push(once).status for _ in range(2)] == [410, 201]


def test_rules_apply_to_browsers_too(webpush: WebpushSender) -> None:
    sandbox, subscription = webpush.sandbox, webpush.subscribe("apple")
    token = json.dumps(subscription, separators=(",", ":"))

    sandbox.control(outage={"webpush": "503"})
    assert webpush.push(subscription).status == 503
    sandbox.control(outage={"webpush": None}, answers={token: "unregistered"})
    assert webpush.push(subscription).status == 410
    sandbox.control(
        answers={token: None},
        next={"count": 1, "answer": "429", "provider": "webpush"},
    )
    assert [webpush.push(subscription).status for _ in range(2)] == [429, 201]


@pytest.mark.parametrize("name", sorted(faults.WIRE_FAULTS))
def test_the_connection_can_fail(webpush: WebpushSender, name: str) -> None:
    webpush.sandbox.control(slow_s=0.05)
    path = urlsplit(webpush.subscribe(name=name)["endpoint"]).path

    body = encrypt(b"hello", webpush.subscribe(name=name))
    fields = [
        ("authorization", webpush.authorization()),
        ("content-encoding", "aes128gcm"),
        ("ttl", "60"),
    ]
    webpush.client.send("POST", path, fields, body)

    [push] = webpush.sandbox.inbox(all=1, wait=20)
    assert (push["status"], push["reason"]) == (None, name)
