"""Reading Retry-After and bodies of any content."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels import responses

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "pause_s"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 1),
        ("99999999999999999999", 3600),
        ("Thu, 01 Jan 2026 12:02:00 GMT", 120),
        ("Thu, 01 Jan 2026 14:01:30 +0200", 90),
        # A date that has passed asks for the shortest pause.
        ("Thu, 01 Jan 2026 11:00:00 GMT", 1),
        ("Sat, 01 Jan 2033 12:00:00 GMT", 3600),
        # Without a zone it is taken for UTC.
        ("Thu, 01 Jan 2026 12:00:40 -0000", 40),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, pause_s: float) -> None:
    assert responses.retry_after_s((("retry-after", value),), NOW) == pause_s


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "Thu, 99 Foo 2026", "²"])
def test_an_unreadable_retry_after_is_none(value: str) -> None:
    assert responses.retry_after_s((("retry-after", value),), NOW) is None


def test_a_missing_retry_after_is_none() -> None:
    assert responses.retry_after_s((("date", "30"),), NOW) is None


@given(st.text())
def test_any_retry_after_is_read_without_harm(value: str) -> None:
    pause_s = responses.retry_after_s((("retry-after", value),), NOW)

    assert pause_s is None or 1 <= pause_s <= 3600


@given(st.binary())
def test_any_body_gives_an_object(body: bytes) -> None:
    assert isinstance(responses.json_object(body), dict)


def test_parts_of_the_wrong_type_read_as_nothing() -> None:
    value = {"object": [], "list": {}, "string": 7}

    assert responses.member(value, "object") == {}
    assert responses.members(value, "list") == []
    assert responses.string(value, "string") == ""
