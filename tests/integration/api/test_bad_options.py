"""Wrong options of a message and of a page are refused."""

import pytest


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
def test_wrong_option_is_refused(house, ann, chat, field, value):
    answer = house.say(ann, chat, "hi", **{field: value})

    assert (answer.status, answer.code) == (400, "invalid"), answer.body
