"""Texts with placeholders, and plurals."""

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.kinds.patterns import Values, fill, fill_block, parse, placeholders

VALUES: Values = {
    "sender": "Ann",
    "conversation": "Trip",
    "text": "See you at 8",
    "members": 3,
    "data.order": "A 1/2",
    "sender.avatar": "https://cdn.example.org/ann.png?v=1",
}


def test_placeholders_are_filled() -> None:
    assert fill("{sender} in {conversation}: {text}", VALUES, "de") == (
        "Ann in Trip: See you at 8"
    )
    assert fill("#{data.order}, {members}", VALUES, "de") == "#A 1/2, 3"


def test_double_braces_are_braces() -> None:
    assert fill("{{{text}}} {{sender}}", VALUES, "de") == "{See you at 8} {sender}"


def test_what_is_missing_is_empty() -> None:
    assert fill("[{sender.external_id}{data.none}]", {"data.none": None}, "de") == "[]"


@given(st.text(max_size=30))
def test_a_value_is_never_read_as_a_pattern(value: str) -> None:
    assert fill("<{text}>", {"text": value, "sender": "!"}, "de") == f"<{value}>"


@pytest.mark.parametrize(
    "text", ["{", "}", "{sender", "a}b", "{}", "{name}", "{data.}", "{{{", "{text!r}"]
)
def test_a_malformed_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"brace|placeholder"):
        parse(text)


@given(st.text(alphabet="{}sender.text ", max_size=30), st.text(max_size=5))
def test_filling_never_fails(pattern: str, locale: str) -> None:
    fill(pattern, VALUES, locale)
    fill({"count": "members", "other": pattern}, VALUES, locale)


def test_values_are_escaped_and_the_pattern_is_not() -> None:
    assert fill("<b>{text}</b>", {"text": "<i>"}, "de", escape) == "<b>&lt;i&gt;</b>"


@pytest.mark.parametrize(
    ("locale", "members", "expected"),
    [
        ("de", 1, "one"),
        ("de", 2, "other"),
        ("default", 1, "one"),
        ("default", 0, "other"),
        ("ru", 1, "one"),
        ("ru", 3, "few"),
        ("ru", 5, "many"),
        ("ru-RU", 21, "one"),
        ("ar", 0, "zero"),
        ("ar", 2, "two"),
        ("ja", 1, "other"),
        ("fr", 0, "one"),
        ("tlh", 1, "other"),
        ("no locale", 1, "other"),
    ],
)
def test_the_language_chooses_the_plural(
    locale: str, members: int, expected: str
) -> None:
    forms = ("zero", "one", "two", "few", "many", "other")
    plural = {"count": "members", **{form: form for form in forms}}

    assert fill(plural, {"members": members}, locale) == expected


def test_a_form_that_is_missing_is_the_other_one() -> None:
    plural = {"count": "members", "other": "{members} members"}

    assert fill(plural, {"members": 1}, "en") == "1 members"


def test_an_empty_form_is_empty() -> None:
    plural = {"count": "members", "one": "", "other": "{members} members"}

    assert fill(plural, {"members": 1}, "en") == ""


@pytest.mark.parametrize("count", [None, "", "many", "1e999999999", "٣", "9" * 30])
def test_what_is_no_number_has_the_other_form(count: str | None) -> None:
    plural = {"count": "data.n", "one": "one", "few": "few", "other": "other"}

    assert fill(plural, {"data.n": count}, "ru") == "other"


def test_a_number_in_the_data_counts() -> None:
    plural = {"count": "data.n", "one": "one", "other": "other"}

    assert fill(plural, {"data.n": "1"}, "en") == "one"
    assert fill(plural, {"data.n": "1.0"}, "en") == "other"


def test_placeholders_of_a_whole_definition_are_found() -> None:
    definition = {
        "patterns": {
            "default": {"title": "{sender}"},
            "de": {"body": {"count": "members", "one": "Eins", "other": "{data.a}"}},
        },
        "webpush": {"options": {"actions": [{"title": "{{text}} {conversation}"}]}},
    }

    assert placeholders(definition) == {
        "sender",
        "members",
        "data.a",
        "conversation",
    }


def test_all_texts_of_a_block_are_filled() -> None:
    block = {"aps": {"thread-id": "{conversation}", "own": [{"a": "{text}"}, 1, None]}}

    assert fill_block(block, VALUES, "de") == {
        "aps": {"thread-id": "Trip", "own": [{"a": "See you at 8"}, 1, None]}
    }


def test_values_in_addresses_are_encoded() -> None:
    block = {"navigate": "https://example.org/{data.order}?q={text}", "icon": "/a.png"}

    assert fill_block(block, VALUES, "de") == {
        "navigate": "https://example.org/A%201%2F2?q=See%20you%20at%208",
        "icon": "/a.png",
    }


def test_own_fields_may_have_the_names_of_addresses() -> None:
    block = {
        "payload": {"link": "to {text}", "image": "", "see": "https://a/{text}"},
        "options": {"data": [{"icon": "{conversation}!"}], "icon": "/{text}"},
    }

    assert fill_block(block, VALUES, "de") == {
        "payload": {
            "link": "to See you at 8",
            "image": "",
            "see": "https://a/See%20you%20at%208",
        },
        "options": {"data": [{"icon": "Trip!"}], "icon": "/See%20you%20at%208"},
    }


def test_the_avatar_is_an_address_by_itself() -> None:
    assert fill_block({"icon": "{sender.avatar}"}, VALUES, "de") == {
        "icon": VALUES["sender.avatar"]
    }
    assert fill_block({"icon": "{sender.avatar}", "a": ""}, {}, "de") == {"a": ""}
