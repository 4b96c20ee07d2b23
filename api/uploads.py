"""Receiving a large body piece by piece: it is never held as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from api import stream
from models.errors import CallerError, LengthRequired, TooLarge, UnsupportedType

PIECE_SIZE = 64 * 1024
JSON_LINES = "application/x-ndjson"
CSV = "text/csv"
MEDIA_TYPES = (JSON_LINES, CSV)


@dataclass(frozen=True)
class Upload:
    """A body on its way to us."""

    environ: dict[str, Any]
    limit: int
    # A form has an end of its own, so it may come without a length.
    needs_length: bool = field(default=True, kw_only=True)

    @property
    def media_type(self) -> str:
        """One of MEDIA_TYPES; raises UnsupportedType."""
        stated = self.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if stated not in MEDIA_TYPES:
            known = " or ".join(MEDIA_TYPES)
            raise UnsupportedType(f"The body must be {known}; say so in Content-Type.")
        return str(stated)

    def check_length(self) -> int | None:
        """The length that the caller has stated, if they had to."""
        length = stream.stated_length(self.environ)
        if length is None:
            is_sure = stream.tells_breaks if self.needs_length else stream.has_end
            if not is_sure(self.environ):
                raise LengthRequired
        elif length > self.limit:
            raise self._too_large()
        return length

    def pieces(self) -> Iterator[bytes]:
        """Raises CallerError when the body ends early or does not end in time."""
        length = self.check_length()
        received = 0
        while length is None or received < length:
            rest = PIECE_SIZE if length is None else length - received
            piece = stream.receive(self.environ, min(rest, PIECE_SIZE))
            if not piece:
                break
            received += len(piece)
            if received > self.limit:
                raise self._too_large()
            yield piece
        if length is not None and received < length:
            raise CallerError("The body ended early.")

    def _too_large(self) -> TooLarge:
        mebibytes = self.limit // 2**20
        return TooLarge(f"A file may have {mebibytes} MiB.", limit=self.limit)
