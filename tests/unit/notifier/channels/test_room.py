"""Messages that are as large as the API takes them fit into a push."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pushes import Notification
from notifier.channels.apns import payload as apns_payload
from notifier.channels.fcm.payload import Renderer
from notifier.engine import variants
from tests.support.notifications import make_notification, make_target

LOOKS: dict[str, dict[str, Any] | None] = {
    "built-in": None,
    "kind": {},
    "texts": {"patterns": {"default": {"title": "{text}", "subtitle": "{data.k}"}}},
    "drawn": {"fcm": {"data_only": True}},
}
# Four bytes each.
names = st.text(st.sampled_from('🚢é"\\ a'), min_size=1, max_size=100)
addresses = st.integers(20, 1000).map(lambda n: "https://chat.example/".ljust(n, "a"))


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "text": draw(st.text(max_size=30)) * draw(st.integers(0, 300)),
        "sender_id": 2**63 - 1,
        "sender_name": draw(names),
        "sender_external_id": draw(st.none() | names),
        "sender_avatar": draw(st.none() | addresses),
        "chat_name": draw(st.just("") | names),
        "chat_external_id": draw(st.none() | names),
        "is_group": draw(st.booleans()),
        "silent": draw(st.booleans()),
        "data": {"k": "v" * draw(st.sampled_from((0, 100, 1500)))},
    }


def requests(notification: Notification) -> list[bytes]:
    target = make_target(1, "t" * 240, badge=9_999_999_999)

    def resolve(platform: str) -> Notification:
        return variants.resolve(notification, platform, None, is_mentioned=True)

    [on_apple] = apns_payload.render(resolve("apns")).requests([target])
    renderer = Renderer("service-account.json", "harbour")
    return [on_apple.body, renderer.render(resolve("fcm")).request(target).body]


@pytest.mark.parametrize("look", LOOKS)
@settings(max_examples=60)
@given(messages())
def test_any_message_fits(look: str, message: dict[str, Any]) -> None:
    notification = make_notification(**message, definition=LOOKS[look])

    for body in requests(notification):
        assert len(body) <= 4096
        json.loads(body)
