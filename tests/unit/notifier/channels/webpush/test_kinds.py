"""What a kind shows in a browser, with a service worker and in Safari without one."""

import json
from typing import Any

import pytest
from hpack import Decoder

from models import subscriptions
from models.pushes import WITHDRAW, Shown
from notifier.channels.webpush import payload as webpush_payload
from notifier.channels.webpush.encryption import MAX_PLAINTEXT
from sandbox.browsers.browser import Browser
from tests.support.notifications import make_notification, make_target

LINK = "https://chat.example.org/c/3"
# Every option of a notification.
OPTIONS: dict[str, Any] = {
    "lang": "de-AT",
    "dir": "ltr",
    "icon": "https://cdn.example.org/icon.png",
    "badge": "https://cdn.example.org/badge.png",
    "image": "https://cdn.example.org/image.jpg",
    "vibrate": [100, 50, 100],
    "timestamp": 1_900_000_000_000,
    "renotify": True,
    "silent": False,
    "requireInteraction": True,
    "data": {"room": "3"},
    "actions": [{"action": "reply", "title": "Antworten", "navigate": LINK}],
}


def _push(
    block: dict[str, Any], badge: int = 2, **changes: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """The payload as the browser reads it, and the fields of the request."""
    shown = Shown(title="Ada", subtitle="Harbour", body="Ship ahoy", block=block)
    browser = Browser()
    rendered = webpush_payload.render(make_notification(**{"shown": shown, **changes}))
    target = make_target(token=browser.token, badge=badge)
    request = rendered.request(target, subscriptions.parse(browser.token))
    fields = Decoder().decode(request.fields)
    return json.loads(browser.decrypt(request.body)), dict(fields)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_each_option_reaches_the_service_worker(name: str) -> None:
    payload, _ = _push({"options": {name: OPTIONS[name]}})

    assert payload["options"] == {name: OPTIONS[name]}
    assert (payload["title"], payload["chat"]) == ("Ada", "Harbour")
    assert payload["badge"] == 2


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"data"}))
def test_each_option_reaches_a_browser_without_one(name: str) -> None:
    options = {name: OPTIONS[name]}

    payload, _ = _push({"declarative": True, "navigate": LINK, "options": options})

    assert payload["notification"][name] == OPTIONS[name]


def test_a_declarative_push_is_all_that_safari_needs() -> None:
    payload, _ = _push({"declarative": True, "navigate": LINK}, badge=12)

    assert payload == {
        "web_push": 8030,
        "notification": {
            "title": "Ada · Harbour",
            "body": "Ship ahoy",
            "tag": "message-7",
            "navigate": LINK,
            "data": {
                "data": {},
                "bottlepost": {"conversation": 3, "message": 7, "seq": 5},
            },
            "mutable": True,
            "app_badge": 12,
        },
        "mutable": True,
        "app_badge": 12,
    }


def test_a_declarative_push_says_what_it_is_about() -> None:
    payload, _ = _push(
        {"declarative": True, "navigate": LINK, "options": {"data": {"room": "3"}}},
        data={"link": "app://x"},
        sender_id=9,
        sender_avatar="https://cdn.example.org/ada.png",
    )

    data = payload["notification"]["data"]
    assert data["room"] == "3"
    assert data["data"] == {"link": "app://x"}
    assert data["bottlepost"]["sender"]["name"] == "Ada"
    assert payload["notification"]["icon"] == "https://cdn.example.org/ada.png"


def test_the_kinds_own_icon_is_preferred_to_the_avatar() -> None:
    payload, _ = _push(
        {"declarative": True, "navigate": LINK, "options": {"icon": LINK}},
        sender_id=9,
        sender_avatar="https://cdn.example.org/ada.png",
    )

    assert payload["notification"]["icon"] == LINK


@pytest.mark.parametrize("own", [["a"], "text", 7, None])
def test_data_of_any_form_stands_beside_ours(own: Any) -> None:
    payload, _ = _push(
        {"declarative": True, "navigate": LINK, "options": {"data": own}}
    )

    assert payload["notification"]["data"]["own"] == own


@pytest.mark.parametrize("target", [None, "", "/c/3", "javascript:alert(1)"])
def test_without_an_absolute_address_it_is_an_ordinary_push(target: str | None) -> None:
    block = {"declarative": True} | ({} if target is None else {"navigate": target})

    payload, _ = _push(block)

    assert "web_push" not in payload
    assert payload["title"] == "Ada"


def test_a_declarative_push_always_has_a_title() -> None:
    shown = Shown(
        title="",
        subtitle="",
        body="",
        block={"declarative": True, "navigate": LINK},
    )

    payload, _ = _push({}, shown=shown, locale="de")

    assert payload["notification"]["title"] == "Neue Nachricht"


@pytest.mark.parametrize("is_declarative", [False, True])
def test_the_block_has_the_last_word_about_texts(*, is_declarative: bool) -> None:
    options = {"title": "Call", "body": "Ada rings", "tag": "call-3"}
    payload, _ = _push(
        {"declarative": is_declarative, "navigate": LINK, "options": options}
    )

    shown = payload["notification"] if is_declarative else payload
    assert shown["title"].startswith("Call")
    assert (shown["body"], shown["tag"]) == ("Ada rings", "call-3")
    # Nothing is said twice.
    assert payload.get("options", {}).keys() <= {"navigate"}


@pytest.mark.parametrize("is_declarative", [False, True])
def test_nothing_is_sent_that_browsers_throw_at(*, is_declarative: bool) -> None:
    """A message's own changes may meet a kind that was checked without them."""
    options = {"silent": True, "vibrate": [100], "icon": "", "image": ""}
    options |= {"renotify": True, "tag": ""}

    payload, _ = _push(
        {"declarative": is_declarative, "navigate": LINK, "options": options}
    )

    shown = payload["notification"] if is_declarative else payload["options"]
    assert shown["silent"] is True
    assert (shown if is_declarative else payload)["tag"] == "message-7"
    assert not {"vibrate", "icon", "image"} & shown.keys()


def test_webkit_gets_no_null() -> None:
    payload, _ = _push(
        {"declarative": True, "navigate": LINK, "options": {"silent": None}}
    )

    assert "silent" not in payload["notification"]


def test_urgency_and_topic_are_those_of_the_kind() -> None:
    _, fields = _push({"urgency": "very-low", "topic": "calls"})
    _, built_in = _push({})

    assert (fields["urgency"], fields["topic"]) == ("very-low", "calls")
    assert built_in["urgency"] == "high"
    assert len(built_in["topic"]) == 32


@pytest.mark.parametrize("is_declarative", [False, True])
@pytest.mark.parametrize("letter", ["a", "ß", "€", "🚢", '"'])
def test_a_long_text_is_cut_where_a_character_ends(
    letter: str, *, is_declarative: bool
) -> None:
    block = {"declarative": is_declarative, "navigate": LINK}
    shown = Shown(title="Ada", subtitle="", body=letter * 4000, block=block)

    payload, _ = _push({}, badge=9_999_999_999, shown=shown)

    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    body = (payload["notification"] if is_declarative else payload)["body"]
    assert body[-1] == "…"
    assert set(body[:-1]) == {letter}
    # Not one character more would have fit.
    assert MAX_PLAINTEXT - 4 < len(text.encode()) <= MAX_PLAINTEXT


@pytest.mark.parametrize("is_declarative", [False, True])
def test_options_are_left_out_before_a_push_is_lost(*, is_declarative: bool) -> None:
    options = {"data": {"own": "x" * 1900}, "dir": "rtl"}
    block = {"declarative": is_declarative, "navigate": LINK, "options": options}
    shown = Shown(title="Ada", subtitle="", body="Ship ahoy", block=block)
    data = {"of the message": "x" * 900}

    rendered = webpush_payload.render(make_notification(shown=shown, data=data))

    assert rendered.shorter is not None
    for each, has_options in ((rendered, True), (rendered.shorter, False)):
        payload = json.loads(each.text(3))
        found = payload["notification"] if is_declarative else payload["options"]
        assert (found["navigate"], "dir" in found) == (LINK, has_options)
        assert (found if is_declarative else payload)["body"] == "Ship ahoy"
    assert len(rendered.shorter.text(3)) <= webpush_payload.SHORTER


@pytest.mark.parametrize("is_declarative", [False, True])
def test_a_withdrawal_says_so_in_the_language_of_the_device(
    *, is_declarative: bool
) -> None:
    block = {
        "declarative": is_declarative,
        "navigate": LINK,
        "options": {"vibrate": [9], "body": "{text}", "icon": LINK},
    }

    payload, _ = _push(block, kind=WITHDRAW, text="", locale="de-AT")

    shown = payload["notification"] if is_declarative else payload
    options = payload["notification"] if is_declarative else payload["options"]
    assert shown["body"] == "Nachricht gelöscht"
    assert options["silent"] is True
    assert options["icon"] == LINK
    assert "vibrate" not in options


def test_an_accidental_half_of_a_character_does_no_harm() -> None:
    payload, _ = _push({"options": {"data": {"k\ud800": ["\udfff"]}}})

    assert payload["options"]["data"] == {"k?": ["?"]}
