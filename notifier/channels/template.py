"""Payloads rendered once with placeholders, and text cut so that it fits."""

import itertools
import json
import secrets
import unicodedata
from collections.abc import Callable

ELLIPSIS = "…"
ZERO_WIDTH_JOINER = "\u200d"
SKIN_TONES = range(0x1F3FB, 0x1F400)
FLAG_LETTERS = range(0x1F1E6, 0x1F200)

# Unread messages on the app's icon: space for this many digits is reserved.
BADGE_DIGITS = 10

# Writers of messages cannot guess it, so a mark occurs only where we put it.
_SECRET = secrets.token_hex(16)
_numbers = itertools.count()

# In quotes, with every character beyond ASCII escaped.
json_string = json.JSONEncoder().encode


class Placeholder:
    """A value in a rendered JSON document that is filled in for each device."""

    def __init__(self) -> None:
        self.mark = f"{_SECRET}{next(_numbers):08x}"

    def split(self, document: bytes) -> tuple[bytes, bytes]:
        """The document before and after the placeholder and its quotes."""
        mark = self.mark.encode()
        before, found, after = document.partition(b'"%b"' % mark)
        if not found:
            before, _, after = document.partition(mark)
        return before, after


def clean(text: str) -> str:
    """Text that can be encoded: half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def one_line(text: str) -> str:
    """The text without control characters and line ends, its words one space apart."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def json_bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def fit_with_badge(
    render: Callable[[str], bytes], text: str, limit: int, badge: Placeholder
) -> bytes:
    """`fit`, when the badge's digits replace the placeholder and its quotes."""
    return fit(render, text, limit + len(badge.mark) + 2 - BADGE_DIGITS)


def fit(render: Callable[[str], bytes], text: str, limit: int) -> bytes:
    """The rendered text; a longer one is cut at the end of a character.

    Raises ValueError when the document does not fit even without the text.
    """
    document = render(text)
    if len(document) <= limit:
        return document
    if not text or len(render("")) > limit:
        raise ValueError("the data of the message is too long for a push")
    # The length grows with every character kept, so a binary search finds the cut.
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if len(render(text[:middle] + ELLIPSIS)) <= limit:
            fits = middle
        else:
            too_long = middle
    cut = _whole_characters(text, fits)
    return render(text[:cut] + ELLIPSIS if cut else "")


def _whole_characters(text: str, end: int) -> int:
    """The last place at or before `end` that splits no user-perceived character.

    An approximation of Unicode's grapheme clusters by their most frequent cases:
    accents, variation selectors, skin tones, joined emoji and flags.
    """
    while 0 < end < len(text) and _belong_together(text, end):
        end -= 1
    return end


def _belong_together(text: str, place: int) -> bool:
    before, after = text[place - 1], text[place]
    if ZERO_WIDTH_JOINER in (before, after) or ord(after) in SKIN_TONES:
        return True
    if unicodedata.category(after).startswith("M") or (before, after) == ("\r", "\n"):
        return True
    return ord(after) in FLAG_LETTERS and _flag_letters(text, place) % 2 == 1


def _flag_letters(text: str, end: int) -> int:
    """How many flag letters in a row come before `end`; two of them are one flag."""
    start = end
    while start and ord(text[start - 1]) in FLAG_LETTERS:
        start -= 1
    return end - start
