"""What is pushed without a kind: byte for byte as apps know it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hpack import Decoder

from models.pushes import MESSAGE, READ, WITHDRAW
from notifier.channels.apns import payload as apns_payload
from notifier.channels.fcm.payload import Renderer
from notifier.channels.webpush import payload as webpush_payload
from tests.support.notifications import make_notification, make_target

LOOKS: dict[str, dict[str, Any]] = {
    "message": {"kind": MESSAGE},
    "silent": {"silent": True},
    "withdraw": {"kind": WITHDRAW},
    "read": {"kind": READ},
    "cut": {"text": "🚢 " * 1500},
}
CONTENT = {
    "sender_name": "Ada ✎",
    "chat_name": '"Harbour"',
    "text": "Ahoy\n🚢 {}",
    "data": {"colour": "röt", "a": "1"},
}


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_apns_gets_the_same_bytes(look: str) -> None:
    rendered = apns_payload.render(make_notification(**CONTENT | LOOKS[look]))
    [request] = rendered.requests([make_target(9, "aa01", badge=12)])

    fields = dict(Decoder().decode(request.fields))

    assert (rendered.push_type, rendered.priority) == APNS_TYPES[look]
    assert fields == {
        "apns-collapse-id": "read-3" if look == "read" else "message-7",
        "apns-expiration": "4102444800",
        "apns-id": APNS_IDS.get(look, APNS_IDS["message"]),
    }
    assert request.path == b"/3/device/aa01"
    assert squeezed(request.body) == pinned("apns", look)


def test_fcm_gets_the_same_bytes(look: str) -> None:
    renderer = Renderer("service-account.json", "harbour")
    rendered = renderer.render(make_notification(**CONTENT | LOOKS[look]))

    request = rendered.request(make_target(9, "to:ken", badge=12))

    assert squeezed(request.body) == pinned("fcm", look)


def test_browsers_get_the_same_bytes(look: str) -> None:
    rendered = webpush_payload.render(make_notification(**CONTENT | LOOKS[look]))

    plaintext = rendered.text(12)

    assert squeezed(plaintext) == pinned("webpush", look)


def pinned(platform: str, look: str) -> str:
    lines = Path(__file__).with_name("built_in_look.txt").read_text().splitlines()
    start = f"{platform} {look} "
    return next(line.removeprefix(start) for line in lines if line.startswith(start))


def squeezed(document: bytes) -> str:
    """The document, with the number of ships in place of many."""
    json.loads(document)
    text = document.decode()
    ships = text.count("🚢 ")
    return text.replace("🚢 " * ships, f"<{ships}>") if ships > 1 else text


APNS_TYPES = {
    "message": ("alert", "10"),
    "silent": ("background", "5"),
    "withdraw": ("background", "5"),
    "read": ("alert", "5"),
    "cut": ("alert", "10"),
}
APNS_IDS = {
    "message": "5f340db7-6834-840b-8a8b-000000000009",
    "withdraw": "9016609a-1355-886a-8471-000000000009",
    "read": "1812b28f-8b0d-8379-8b7b-000000000009",
}
