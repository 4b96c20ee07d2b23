"""The payload for the service worker, and how long the push service keeps it."""

import json
from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Any

import pytest
from hpack import Decoder

from models import subscriptions
from models.base import utc_now
from models.pushes import READ, WITHDRAW
from notifier.channels.webpush import payload as webpush_payload
from notifier.channels.webpush.encryption import MAX_PLAINTEXT
from sandbox.browsers.browser import Browser
from tests.support.notifications import make_notification, make_target


def _push(
    endpoint: str | None = None, badge: int = 2, **changes: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """The payload as the browser reads it, and the fields of the request."""
    browser = Browser(endpoint) if endpoint else Browser()
    rendered = webpush_payload.render(make_notification(**changes))
    target = make_target(token=browser.token, badge=badge)
    request = rendered.request(target, subscriptions.parse(browser.token))
    fields = Decoder().decode(request.fields)
    return json.loads(browser.decrypt(request.body)), dict(fields)


def test_a_message_is_told_with_all_that_is_shown() -> None:
    payload, _ = _push(badge=12, data={"link": "app://x"})

    assert payload == {
        "title": "Ada",
        "chat": "Harbour",
        "body": "Ship ahoy",
        "silent": False,
        "tag": "message-7",
        "badge": 12,
        "data": {"link": "app://x"},
        "bottlepost": {"conversation": 3, "message": 7, "seq": 5},
    }


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        (
            {"data": {"link": "app://x"}},
            b'{"title":"Ada","chat":"Harbour","body":"Ship ahoy","silent":false,'
            b'"tag":"message-7","badge":',
            b',"data":{"link":"app://x"},"bottlepost":{',
        ),
        (
            {"kind": WITHDRAW, "text": ""},
            b'{"title":"Ada","chat":"Harbour","body":"Message deleted","silent":false,'
            b'"tag":"message-7","badge":',
            b',"data":{},"bottlepost":{',
        ),
        (
            {"kind": READ},
            b'{"silent":true,"tag":"read-3","badge":',
            b',"data":{},"bottlepost":{',
        ),
    ],
    ids=["message", "withdrawal", "read mark"],
)
def test_without_a_kind_every_byte_is_as_service_workers_know_it(
    changes: dict[str, Any], before: bytes, after: bytes
) -> None:
    rendered = webpush_payload.render(make_notification(**changes))

    assert rendered.pieces[0] == before
    assert rendered.pieces[1].startswith(after)
    assert len(rendered.pieces) == 2


def test_a_silent_message_says_nothing_to_be_shown() -> None:
    payload, fields = _push(silent=True, data={"k": "v"})

    assert payload["silent"] is True
    assert payload["data"] == {"k": "v"}
    assert not {"title", "body", "chat"} & payload.keys()
    assert fields["urgency"] == "low"


def test_a_read_mark_names_its_kind_and_the_badge() -> None:
    payload, fields = _push(kind=READ, badge=0)

    assert payload["bottlepost"]["kind"] == READ
    assert payload["badge"] == 0
    assert payload["silent"] is True
    assert "body" not in payload
    assert fields["urgency"] == "low"


def test_a_withdrawal_shows_that_the_message_is_deleted() -> None:
    payload, fields = _push(kind=WITHDRAW, text="", badge=0)

    assert payload["bottlepost"]["kind"] == WITHDRAW
    assert payload["body"] == "Message deleted"
    assert payload["silent"] is False
    assert payload["badge"] == 0
    assert payload["tag"] == _push()[0]["tag"]
    assert fields["urgency"] == "normal"


def test_nothing_is_shown_of_a_silent_message_that_is_deleted() -> None:
    payload, _ = _push(kind=WITHDRAW, silent=True)

    assert payload["silent"] is True
    assert "body" not in payload


def test_a_withdrawal_takes_the_place_of_a_waiting_message() -> None:
    _, message = _push()
    _, withdrawal = _push(kind=WITHDRAW)

    assert withdrawal["topic"] == message["topic"]


@pytest.mark.parametrize(
    ("host", "left_s", "policy"),
    [
        ("wns2-par02p.notify.windows.com", -5, "no-cache"),
        ("wns2-par02p.notify.windows.com", 60, None),
        ("push.example.org", -5, None),
    ],
)
def test_microsoft_is_told_twice_not_to_keep_a_push(
    host: str, left_s: int, policy: str | None
) -> None:
    _, fields = _push(
        f"https://{host}/w", expires_at=utc_now() + timedelta(seconds=left_s)
    )

    assert fields.get("x-wns-cache-policy") == policy


@pytest.mark.parametrize("message_id", [1, 9999, 12345, 2**63 - 1])
def test_the_topic_is_one_that_services_take(message_id: int) -> None:
    _, fields = _push(message_id=message_id)

    assert len(urlsafe_b64decode(fields["topic"])) == 24


@pytest.mark.parametrize(
    ("left", "low", "high"),
    [
        (timedelta(hours=1), 3590, 3600),
        (timedelta(days=400), 2_419_200, 2_419_200),
        (timedelta(seconds=-5), 0, 0),
    ],
)
def test_a_service_keeps_it_until_the_message_expires(
    left: timedelta, low: int, high: int
) -> None:
    _, fields = _push(expires_at=utc_now() + left)

    assert low <= int(fields["ttl"]) <= high
    assert fields["urgency"] == "high"


@pytest.mark.parametrize("letter", ["a", "ß", "€", "🚢", '"'])
def test_a_long_text_is_cut_where_a_character_ends(letter: str) -> None:
    payload, _ = _push(text=letter * 4000, badge=9_999_999_999)
    body = payload["body"]

    size = len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode())

    assert body[-1] == "…"
    assert set(body[:-1]) == {letter}
    # Not one character more would have fit.
    assert MAX_PLAINTEXT - 4 < size <= MAX_PLAINTEXT


def test_data_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        webpush_payload.render(make_notification(data={"k": "x" * 4000}))


def test_half_a_surrogate_pair_does_no_harm() -> None:
    payload, _ = _push(text="a\ud800b")

    assert payload["body"] == "a?b"
