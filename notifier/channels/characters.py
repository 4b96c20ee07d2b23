"""Cutting text where a character ends, as its readers see characters."""

from functools import cache
from typing import Any


@cache
def _clusters() -> Any:
    # Imported here, because few texts are cut, and it takes a megabyte.
    import regex  # noqa: PLC0415

    return regex.compile(r"\X")


def whole_characters(text: str, end: int) -> int:
    """The last place at or before `end` that splits no grapheme cluster (UAX 29)."""
    if end >= len(text):
        return len(text)
    last = 0
    for cluster in _clusters().finditer(text):
        if cluster.end() > end:
            break
        last = cluster.end()
    return last
