"""Bounds the bytes of a page, because a client may take its answers slowly."""

from collections.abc import Sequence
from typing import TypeVar

from api.schemas import Out

# A page of ordinary texts is shorter, and the longest texts still make a page of some.
PAGE_BYTES = 256 * 1024

Item = TypeVar("Item", bound=Out)


def first(items: Sequence[Item]) -> Sequence[Item]:
    """As many of the first items as a page may hold, and always one."""
    size = 0
    for number, item in enumerate(items):
        size += len(item.model_dump_json().encode())
        if size > PAGE_BYTES and number:
            return items[:number]
    return items


def last(items: Sequence[Item]) -> Sequence[Item]:
    """As many of the last items, in their order."""
    kept = first(items[::-1])
    return items[len(items) - len(kept) :]
