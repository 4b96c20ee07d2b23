"""The bytes that leave the house with each setting of the preview."""

from collections.abc import Iterator
from typing import Any

import pytest

from models.pushes import WITHDRAW, Notification
from notifier.channels.apns import payload as apns_payload
from notifier.channels.fcm.payload import Renderer
from notifier.channels.webpush import payload as webpush_payload
from notifier.engine import redact, variants
from tests.support.notifications import make_notification, make_target

# Each of these is in a message, and in no field that has another purpose.
NAMES = {
    "sender_name": "Qadaq",
    "chat_name": "Qharbourq",
    "sender_external_id": "qsenderidq",
    "chat_external_id": "qchatidq",
    "sender_avatar": "https://qavatarq.example/a.png",
}
CONTENT = {
    "text": "qtextq",
    "data": {"qkeyq": "qvalueq"},
    "changes": {
        "patterns": {"default": {"title": "qchangedq {text}"}},
        "apns": {"payload": {"own": "qchangedq"}},
    },
}
EVERYTHING = (
    "{sender}{sender.avatar}{sender.external_id}"
    "{conversation}{conversation.external_id}{text}{data.qkeyq}{members}"
)
WORDS = f"qwordsq {EVERYTHING}"
APS = {
    "alert": {"title": WORDS, "loc-key": "qwordsq", "loc-args": [EVERYTHING]},
    "thread-id": EVERYTHING,
    "category": "CHAT",
}
DEFINITION = {
    "patterns": {"default": {"title": WORDS, "subtitle": WORDS, "body": WORDS}},
    "apns": {
        "headers": {"collapse_id": EVERYTHING},
        "aps": APS,
        "payload": {"own": EVERYTHING, "list": [EVERYTHING], "deep": {"er": WORDS}},
    },
    "fcm": {
        "notification": {"image": "{sender.avatar}"},
        "android": {
            "data": {"own": EVERYTHING},
            "notification": {
                "title": WORDS,
                "body": WORDS,
                "ticker": WORDS,
                "title_loc_key": "qwordsq",
                "title_loc_args": [EVERYTHING],
                "tag": EVERYTHING,
                "channel_id": "chats",
            },
        },
        "apns": {"payload": {"aps": APS, "own": EVERYTHING}},
        "webpush": {"notification": {"title": WORDS, "data": {"own": EVERYTHING}}},
    },
    "webpush": {"options": {"title": WORDS, "icon": "{sender.avatar}"}},
    "email": {"subject": WORDS, "text": WORDS, "html": WORDS},
}
DRAWN = {**DEFINITION, "fcm": {"data_only": True}}
CALL = {
    **DEFINITION,
    "apns": {
        "headers": {"push_type": "voip"},
        "aps": {"alert": {"title": WORDS}},
        "payload": {"own": EVERYTHING},
    },
}
ACTIVITY = {
    "apns": {
        "headers": {"push_type": "liveactivity"},
        "aps": {
            "event": "start",
            "attributes-type": "Chat",
            "attributes": {"who": EVERYTHING},
            "content-state": {"what": [EVERYTHING]},
        },
    }
}
LOOKS: dict[str, dict[str, Any]] = {
    "built-in": {},
    "kind": {"definition": DEFINITION},
    "drawn": {"definition": DRAWN},
    "call": {"definition": CALL},
    "activity": {"definition": ACTIVITY},
    "mention": {"mention_definition": DEFINITION, "mentions": frozenset({1})},
    "silent": {"definition": DEFINITION, "silent": True},
    "withdrawn": {"definition": DEFINITION, "kind": WITHDRAW},
}


def pushed(preview: str, look: str) -> Iterator[bytes]:
    """All that every provider gets, headers included."""
    values = {**NAMES, **CONTENT, "sender_id": 9, "is_group": True, "members": 4711}
    hidden = redact.redact(make_notification(**values | LOOKS[look]), preview)
    fcm = Renderer("service-account.json", "harbour")
    for is_mentioned in (False, True):

        def resolve(platform: str, mentioned: bool = is_mentioned) -> Notification:
            return variants.resolve(hidden, platform, "de", is_mentioned=mentioned)

        apns = apns_payload.render(resolve("apns"))
        for request in apns.requests([make_target()]):
            yield request.body + request.fields
        yield fcm.render(resolve("fcm")).request(make_target()).body
        browser = webpush_payload.render(resolve("webpush"))
        yield repr(browser).encode()


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_of_a_message_leaves_the_house_without_a_preview(look: str) -> None:
    for document in pushed("none", look):
        found = document.lower()
        for secret in (*NAMES.values(), "qtextq", "qkeyq", "qvalueq", "4711"):
            assert secret.lower().encode() not in found
        assert b"qwordsq" not in found
        assert b"qchangedq" not in found


@pytest.mark.parametrize("look", LOOKS)
def test_a_preview_of_the_sender_shows_nothing_of_the_message(look: str) -> None:
    for document in pushed("sender", look):
        for secret in (b"qtextq", b"qkeyq", b"qvalueq", b"qchangedq"):
            assert secret not in document


def test_a_preview_of_the_sender_names_both() -> None:
    [*documents] = pushed("sender", "kind")

    assert all(b"Qadaq" in d and b"Qharbourq" in d for d in documents)


def test_fields_that_say_nothing_stay_without_a_preview() -> None:
    apple, google, *_ = pushed("none", "kind")

    assert b'"category":"CHAT"' in apple
    assert b'"channel_id":"chats"' in google


def test_all_of_it_is_shown_in_full() -> None:
    """The words above would be found, if they were there."""
    values = {**NAMES, **CONTENT, "sender_id": 9, "definition": DEFINITION}
    values["changes"] = None
    found = variants.resolve(
        make_notification(**values), "apns", None, is_mentioned=False
    )

    [request] = apns_payload.render(found).requests([make_target()])

    for secret in (*NAMES.values(), "qtextq", "qkeyq", "qvalueq", "qwordsq"):
        assert secret.encode() in request.body
