"""Reading a form with a file piece by piece (RFC 7578): it is never held as a whole."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models.errors import Invalid, UnsupportedType

MEDIA_TYPE = "multipart/form-data"
LONGEST_HEAD = 4096
LONGEST_VALUE = 4096
MOST_PARTS = 20

# Printable, and no longer than RFC 2046 §5.1.1 lets it be.
_find_boundary = re.compile(r'[;\s]boundary="?([!#-:<-~]{1,70})"?(?:;|$)').search
_find_disposition = re.compile(
    rb"^content-disposition:[ \t]*form-data[ \t]*;(.*?)\r?$",
    re.IGNORECASE | re.MULTILINE,
).search
_find_type = re.compile(
    rb"^content-type:[ \t]*([!-~]+)", re.IGNORECASE | re.MULTILINE
).search
# Browsers write a quotation mark inside a name as %22.
_parameters = re.compile(r'(name|filename)="([^"]*)"').findall


@dataclass(frozen=True)
class Part:
    """A field of the form; what is in it must be read before the next one comes."""

    name: str
    # Of a file, the name that it had.
    filename: str | None
    # As the browser has guessed it; empty when it has not.
    media_type: str
    pieces: Iterator[bytes]

    def value(self) -> str:
        """What a short field says."""
        return _joined(self.pieces, LONGEST_VALUE).decode(errors="replace")


def parts(content_type: str, pieces: Iterable[bytes]) -> Iterator[Part]:
    """The fields in their order; raises Invalid when the form cannot be read."""
    if content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise UnsupportedType(f"The form must be sent as {MEDIA_TYPE}.")
    found = _find_boundary(content_type)
    if found is None:
        raise Invalid("The form does not say what is between its fields.")
    # So that the first boundary is like all others.
    source = _Source(b"\r\n", iter(pieces))
    boundary = b"\r\n--" + found[1].encode()
    _joined(source.until(boundary), LONGEST_HEAD)
    for _ in range(MOST_PARTS):
        after = source.take(2)
        if after == b"--":
            return
        if after != b"\r\n":
            break
        head = _joined(source.until(b"\r\n\r\n"), LONGEST_HEAD)
        content = source.until(boundary)
        yield _part(head, content)
        # What was not read lies before the next field.
        for _ in content:
            pass
    raise Invalid("The form cannot be read.")


class _Source:
    """Bytes that come in pieces, of which no more is kept than is looked at."""

    def __init__(self, first: bytes, pieces: Iterator[bytes]) -> None:
        self._rest = first
        self._pieces = pieces

    def until(self, mark: bytes) -> Iterator[bytes]:
        """What comes before the mark, which is taken away with it."""
        while (place := self._rest.find(mark)) < 0:
            # The end of this piece may be the beginning of the mark.
            sure = max(0, len(self._rest) - len(mark) + 1)
            if sure:
                piece, self._rest = self._rest[:sure], self._rest[sure:]
                yield piece
            self._read_on()
        piece, self._rest = self._rest[:place], self._rest[place + len(mark) :]
        if piece:
            yield piece

    def take(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._read_on()
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _read_on(self) -> None:
        more = next(self._pieces, b"")
        if not more:
            raise Invalid("The form ends too early.")
        self._rest += more


def _joined(pieces: Iterable[bytes], longest: int) -> bytes:
    text = b""
    for piece in pieces:
        text += piece
        if len(text) > longest:
            raise Invalid("A field of the form is too long.")
    return text


def _part(head: bytes, pieces: Iterator[bytes]) -> Part:
    disposition = _find_disposition(head)
    if disposition is None:
        raise Invalid("A field of the form has no name.")
    named = dict(_parameters(disposition[1].decode(errors="replace")))
    media_type = _find_type(head)
    return Part(
        name=named.get("name", ""),
        filename=named.get("filename"),
        media_type=media_type[1].decode().lower() if media_type else "",
        pieces=pieces,
    )
