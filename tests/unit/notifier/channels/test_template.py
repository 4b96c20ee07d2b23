"""Placeholders in rendered documents, and cutting text to fit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.template import Placeholder, clean, fit

FAMILY = "👨\u200d👩\u200d👧"
THUMB = "👍🏽"
FLAG = "🇫🇮"
ACCENT = "e\u0301"
HANGUL = "\u1112\u1161\u11ab"
INDIC = "क्षि"


def render(text: str) -> bytes:
    return json.dumps({"body": text}, ensure_ascii=False).encode()


def cut(text: str, room: int) -> str:
    """The text cut to `room` bytes, beside the rest of the document."""
    document = fit(render, text, len(render("")) + room)
    body: str = json.loads(document)["body"]
    return body


def test_text_that_fits_is_not_touched() -> None:
    assert cut("abc", 3) == "abc"


def test_text_that_is_too_long_ends_in_an_ellipsis() -> None:
    assert cut("abcdefgh", 7) == "abcd…"


def test_escapes_count_as_they_are_written() -> None:
    assert cut('""""""""', 7) == '""…'


@pytest.mark.parametrize(
    "whole", [FAMILY, THUMB, FLAG, ACCENT, HANGUL, INDIC, "ä", "🚢"]
)
def test_a_user_perceived_character_is_kept_or_dropped_whole(whole: str) -> None:
    text = "ab" + whole * 3

    seen = {cut(text, room) for room in range(5, len(text.encode()))}

    assert seen <= {"ab" + whole * n + "…" for n in range(3)} | {"a…"}
    assert "ab" + whole + "…" in seen


def test_one_flag_ends_where_the_next_begins() -> None:
    # Four letters of eight bytes a pair: room for one flag, the ellipsis and a half.
    assert cut(FLAG * 4, 8 + 3 + 4) == FLAG + "…"


def test_no_room_for_any_text_leaves_none() -> None:
    assert cut("abcdefgh", 0) == ""
    assert cut(FAMILY * 2, 9) == ""


def test_a_document_too_long_without_its_text_is_refused() -> None:
    with pytest.raises(ValueError, match="too long for a push"):
        fit(render, "abc", 5)


@given(st.text(max_size=300), st.integers(0, 400))
def test_the_cut_text_fits_and_begins_like_the_whole(text: str, room: int) -> None:
    kept = cut(text, room)

    assert len(render(kept)) <= len(render("")) + room
    assert kept in ("", text) or text.startswith(kept.removesuffix("…"))


@given(st.text(st.characters(codec=None)))
def test_clean_text_always_has_bytes(text: str) -> None:
    assert clean(text).encode().decode() == clean(text)


def test_clean_text_stays_what_it_is() -> None:
    assert clean("Ahoj, 🚢 näkemiin") == "Ahoj, 🚢 näkemiin"
    assert clean("a\ud800b") == "a?b"


@given(st.text(max_size=50))
def test_a_placeholder_splits_the_document_where_its_mark_is(text: str) -> None:
    badge = Placeholder()
    mark = badge.mark.encode()
    document = render(text).replace(b"}", b"") + b', "badge": "%b"}' % mark

    before, after = badge.split(document)

    assert before + b'"' + mark + b'"' + after == document
