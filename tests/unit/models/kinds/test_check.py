"""Whole definitions: their canonical form, problems, changes and merges."""

from typing import Any

import pytest

from models import kinds
from models.errors import Invalid


def refusal(definition: dict[str, Any], *, partial: bool = False) -> Invalid:
    with pytest.raises(Invalid) as refused:
        kinds.check(definition, partial=partial)
    return refused.value


def test_an_empty_definition_is_the_built_in_look() -> None:
    assert kinds.check({}) == {"members": False}


def test_the_canonical_form_is_canonical() -> None:
    definition = {
        "patterns": {"default": {"body": "{text}"}, "de_at": {"title": "{sender}"}},
        "apns": {"aps": {"alert": "Hello", "relevance-score": 1}},
        "fcm": {"android": {"priority": "HIGH"}},
    }

    canonical = kinds.check(definition)

    assert canonical == {
        "members": False,
        "patterns": {"default": {"body": "{text}"}, "de-AT": {"title": "{sender}"}},
        "apns": {"aps": {"alert": {"body": "Hello"}, "relevance-score": 1}},
        "fcm": {"android": {"priority": "high"}},
    }
    assert kinds.check(canonical) == canonical


def test_a_problem_names_its_field() -> None:
    problem = refusal(
        {"apns": {"aps": {"sound": {"critical": 1, "name": "a", "volume": 2}}}}
    )

    assert problem.details["field"] == "apns.aps.sound.volume"
    assert problem.message.startswith("apns.aps.sound.volume: ")
    assert [each["field"] for each in problem.details["problems"]] == [
        "apns.aps.sound.volume"
    ]


def test_all_problems_are_listed() -> None:
    problem = refusal(
        {"fcm": {"android": {"ttl": "1", "notification": {"color": "red"}}}}
    )

    assert [each["field"] for each in problem.details["problems"]] == [
        "fcm.android.ttl",
        "fcm.android.notification.color",
    ]


def test_patterns_need_a_default() -> None:
    problem = refusal({"patterns": {"de": {"title": "{sender}"}}})

    assert problem.details["field"] == "patterns.default"


@pytest.mark.parametrize("locales", [("german",), ("de", "DE"), ("iw", "he")])
def test_a_locale_is_known_and_named_once(locales: tuple[str, ...]) -> None:
    names = {name: {"title": "a"} for name in locales}

    problem = refusal({"patterns": {"default": {}, **names}})

    assert problem.details["field"] == f"patterns.{locales[-1]}"


@pytest.mark.parametrize(
    ("title", "field"),
    [
        ({"count": "members"}, ".other"),
        ({"count": "people", "other": "a"}, ".count"),
        ({"count": "members", "other": "a", "single": "b"}, ".single"),
        ({"count": "members", "other": "{a}"}, ".other"),
        ({"other": "a"}, ".count"),
        ("{a}", ""),
        ("", ""),
        (1, ""),
        (None, ""),
        ("a" * 201, ""),
        ("a\0", ""),
        ("\ud800", ""),
    ],
)
def test_a_bad_pattern_is_refused(title: object, field: str) -> None:
    problem = refusal({"patterns": {"default": {"title": title}}})

    assert problem.details["field"] == f"patterns.default.title{field}"


@pytest.mark.parametrize(
    "block",
    [
        {"apns": {"headers": {"push_type": "voip"}}},
        {"apns": {"headers": {"push_type": "location"}}},
        {"fcm": {"apns": {"headers": {"apns-push-type": "complication"}}}},
        {
            "fcm": {
                "apns": {
                    "live_activity_token": "abc",
                    "payload": {"aps": {"event": "end"}},
                }
            }
        },
    ],
)
def test_members_may_not_send_raw_pushes(block: dict[str, Any]) -> None:
    kinds.check(block)

    assert "members" in refusal({"members": True, **block}).message


@pytest.mark.parametrize("name", [kinds.OF_MESSAGES, kinds.OF_MENTIONS])
def test_nor_by_a_kind_that_their_messages_have_anyway(name: str) -> None:
    block = {"apns": {"headers": {"push_type": "voip"}}}

    with pytest.raises(Invalid, match="without naming it"):
        kinds.check(block, name=name)


def test_a_definition_has_at_most_16_kib() -> None:
    own = {str(number): "a" * 1000 for number in range(17)}

    assert "16,384 bytes" in refusal({"email": {"html": "a"}, "x": own}).message


def test_what_is_deeply_nested_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}

    refusal({"apns": {"payload": deep}})
    refusal({"apns": {"payload": deep}}, partial=True)


@pytest.mark.parametrize("value", [float("nan"), "\ud800", object(), {1: 2}, "{"])
def test_what_is_no_json_is_refused(value: object) -> None:
    refusal({"apns": {"payload": {"a": value}}})


def test_null_in_changes_removes_a_field() -> None:
    changes = {
        "patterns": {"de": None},
        "apns": {"aps": {"sound": None, "alert": {"loc-args": ["a"]}}},
    }

    assert kinds.check(changes, partial=True) == changes
    assert kinds.check({"patterns": {"de_at": None}}, partial=True) == {
        "patterns": {"de-AT": None}
    }
    assert "null" not in refusal({"apns": None}).message


def test_changes_may_not_say_who_uses_a_kind() -> None:
    assert refusal({"members": True}, partial=True).details["field"] == "members"


def test_changes_are_checked_together_with_the_kind() -> None:
    kind = kinds.check({"apns": {"aps": {"alert": {"loc-key": "NEW"}}}})
    changes = {"apns": {"aps": {"alert": {"loc-args": ["{sender}"]}}}}

    assert kinds.check_changes(kind, changes) == changes
    with pytest.raises(Invalid) as refused:
        kinds.check_changes(None, changes)
    assert refused.value.details["field"] == "apns.aps.alert.loc-args"


def test_the_service_may_change_what_members_use_into_a_raw_push() -> None:
    kind = kinds.check({"members": True})

    kinds.check_changes(kind, {"apns": {"headers": {"push_type": "voip"}}})


@pytest.mark.parametrize(
    ("old", "changes", "expected"),
    [
        # The examples of RFC 7396.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "foo"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_a_merge_follows_the_standard(
    old: dict[str, Any], changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = repr(old)

    assert kinds.merge(old, changes) == expected
    assert repr(old) == before
