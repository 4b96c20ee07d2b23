"""Reads a form with a file piece by piece (RFC 7578), never as a whole."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from models.errors import Invalid, UnsupportedType

MEDIA_TYPE = "multipart/form-data"
MAX_HEADER_BYTES = 4096
MAX_VALUE_BYTES = 4096
MAX_PARTS = 20

# RFC 2046 §5.1.1 allows 70 characters.
_is_boundary = re.compile(r"[ -~]{1,70}").fullmatch

# The parser yields a segment for each field, then its content, then None.
Events = Iterator[Any]


@dataclass(frozen=True)
class Part:
    """A field of the form; its content must be read before the next field."""

    name: str
    # The file's name; None if the field is not a file.
    filename: str | None
    # The browser's guess; empty without one.
    media_type: str
    pieces: Iterator[bytes]

    def value(self) -> str:
        """The content of a short field."""
        text = b""
        for piece in self.pieces:
            text += piece
            if len(text) > MAX_VALUE_BYTES:
                raise Invalid("A field of the form is too long.")
        return text.decode(errors="replace")


def parts(content_type: str, pieces: Iterable[bytes]) -> Iterator[Part]:
    """The fields in their order; raises Invalid when the form cannot be read."""
    media_type, options = parse_options_header(content_type)
    if media_type != MEDIA_TYPE:
        raise UnsupportedType(f"The form must be sent as {MEDIA_TYPE}.")
    boundary = options.get("boundary", "")
    if not _is_boundary(boundary):
        raise Invalid("The form's Content-Type does not name a boundary.")
    events = _parse(boundary, pieces)
    for event in events:
        if isinstance(event, MultipartSegment):
            content = _content(events)
            yield Part(
                name=event.name or "",
                filename=event.filename,
                media_type=event.content_type or "",
                pieces=content,
            )
            # Unread content comes before the next field.
            for _ in content:
                pass


def _parse(boundary: str, pieces: Iterable[bytes]) -> Events:
    # The strict mode would refuse a trailing line end that comes in its own piece.
    parser = PushMultipartParser(
        boundary, max_header_size=MAX_HEADER_BYTES, max_segment_count=MAX_PARTS
    )
    try:
        for piece in pieces:
            yield from parser.parse(piece)
    except ParserLimitReached:
        message = "The form has too many fields, or a field's header is too long."
        raise Invalid(message) from None
    except MultipartError:
        raise Invalid("The form cannot be read.") from None
    try:
        parser.close()
    except MultipartError:
        raise Invalid("The form ends too early.") from None


def _content(events: Events) -> Iterator[bytes]:
    """The pieces of the current field."""
    for event in events:
        if event is None:
            return
        # Version 1 of the parser yields bytearrays.
        yield bytes(event)
