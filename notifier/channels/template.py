"""Payloads rendered once with placeholders, and text cut so that it fits."""

import itertools
import json
import secrets
from collections.abc import Callable

from notifier.channels.characters import whole_characters

ELLIPSIS = "…"

# Unread messages on the app's icon: space for this many digits is reserved.
BADGE_DIGITS = 10

# Writers of messages cannot guess it, so a mark occurs only where we put it.
_SECRET = secrets.token_hex(16)
_numbers = itertools.count()

# In quotes, with every character beyond ASCII escaped.
json_string = json.JSONEncoder().encode
# Made once, because that takes as long as a short document.
json_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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

    def pieces(self, document: bytes) -> tuple[bytes, ...]:
        """The document around the placeholder, wherever it stands; often nowhere."""
        mark = self.mark.encode()
        return tuple(document.replace(b'"%b"' % mark, mark).split(mark))


def clean(text: str) -> str:
    """Text that can be encoded: half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def shorten(text: str, length: int) -> str:
    """The text, cut at the end of a character if it is longer."""
    if len(text) <= length:
        return text
    return text[: whole_characters(text, length - 1)] + ELLIPSIS


def one_line(text: str) -> str:
    """The text without control characters and line ends, its words one space apart."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def json_bytes(value: object) -> bytes:
    return json_text(value).encode()


def limit_with_badge(limit: int, badge: Placeholder) -> int:
    """The limit while the placeholder and its quotes stand for the badge's digits."""
    return limit + len(badge.mark) + 2 - BADGE_DIGITS


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
    cut = whole_characters(text, fits)
    return render(text[:cut] + ELLIPSIS if cut else "")
