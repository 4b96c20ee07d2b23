"""Wrong options of a message and of a page are refused."""

import json

import pytest

from notifier.channels.apns import payload as apns_payload
from notifier.channels.fcm.payload import Renderer
from notifier.channels.webpush import payload as webpush_payload
from tests.support.notifications import make_notification

FCM = Renderer("service-account.json", "harbour")


@pytest.mark.parametrize(
    "query",
    [
        "?limit=0",
        "?limit=201",
        "?limit=ten",
        "?before=-1",
        "?after=99999999999999999999",
        "?offset=3",
        "?limit=",
        "?after=1e3",
        "?" + "&".join(f"a{n}=1" for n in range(30)),
        "?after=%00",
        "?after=%ff",
    ],
)
def test_wrong_query_is_refused(ann, chat, query):
    assert ann.client.get(f"/groupchat/{chat}/messages{query}").code == "invalid"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", {"aps": "x"}),
        ("data", {"from": "x"}),
        ("data", {"google.x": "x"}),
        ("data", {"bottlepost": "x"}),
        ("data", {"": "x"}),
        ("data", {"a b": "x"}),
        ("data", {"a": 1}),
        ("data", {"a": {"b": "c"}}),
        ("data", {"a": "\0"}),
        ("data", {"a": "x" * 2049}),
        ("data", {"a": "ü" * 1024, "b": "x"}),
        # In JSON, these take two bytes and six.
        ("data", {"a": '"' * 1024}),
        ("data", {"a": "\x01" * 342}),
        ("data", {f"k{n}": "" for n in range(33)}),
        ("data", []),
        ("mentions", [0]),
        ("mentions", list(range(1, 52))),
        ("silent", "yes"),
        ("silent", 1),
        ("ttl", -1),
        ("ttl", 28 * 24 * 3600 + 1),
        ("ttl", "60"),
        ("deliver_after", 1_900_000_000),
        ("deliver_after", "tomorrow"),
        ("deliver_after", "2030-01-01T00:00:00"),
        ("deliver_after", "2030-13-01T00:00:00Z"),
        ("deliver_after", "0001-01-01T00:00:00+14:00"),
        ("deliver_after", "9999-12-31T23:59:59-14:00"),
        ("deliver_after", "2999-01-01T00:00:00Z"),
    ],
)
def test_wrong_option_is_refused(chat_api, ann, chat, field, value):
    answer = chat_api.say(ann, chat, "hi", **{field: value})

    assert (answer.status, answer.code) == (400, "invalid"), answer.body


def test_data_that_is_too_long_for_a_push_names_its_field(chat_api, ann, chat):
    answer = chat_api.say(ann, chat, "hi", data={"a": "\n" * 1024})

    (problem,) = answer.json["error"]["details"]["problems"]
    assert problem["field"] == "data"
    assert "2,048 bytes" in problem["problem"]


@pytest.mark.parametrize("filler", ["x", "ü", "\N{SNOWMAN}", "\x01", '"', "\x7f"])
def test_as_much_data_as_may_be_fits_into_every_push(chat_api, ann, chat, filler):
    in_json = len(json.dumps(filler, ensure_ascii=False).encode()) - 2
    data = {f"k{n:02}": filler * (61 // in_json) for n in range(32)}
    answer = chat_api.say(ann, chat, "hi", data=data)

    notification = make_notification(data=answer.json["message"]["data"])

    assert answer.status == 201
    for render in (apns_payload.render, FCM.render, webpush_payload.render):
        assert render(notification)
