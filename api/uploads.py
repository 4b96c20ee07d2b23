"""Receives a large body piece by piece, never as a whole."""

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
    """A large body that is being received."""

    environ: dict[str, Any]
    limit: int
    # A multipart form marks its own end, so it needs no Content-Length.
    needs_length: bool = field(default=True, kw_only=True)

    @property
    def media_type(self) -> str:
        """One of MEDIA_TYPES; raises UnsupportedType."""
        content_type = self.environ.get("CONTENT_TYPE", "")
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type not in MEDIA_TYPES:
            known = " or ".join(MEDIA_TYPES)
            raise UnsupportedType(f"The Content-Type must be {known}.")
        return str(media_type)

    def check_length(self) -> int | None:
        """The Content-Length; raises LengthRequired or TooLarge."""
        length = stream.content_length(self.environ)
        if length is None:
            check = (
                stream.reports_truncation if self.needs_length else stream.is_terminated
            )
            if not check(self.environ):
                raise LengthRequired
        elif length > self.limit:
            raise self._too_large()
        return length

    def pieces(self) -> Iterator[bytes]:
        """The body; raises CallerError when it ends early or exceeds the limit."""
        length = self.check_length()
        received = 0
        while length is None or received < length:
            left = PIECE_SIZE if length is None else length - received
            piece = stream.receive(self.environ, min(left, PIECE_SIZE))
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
        return TooLarge(f"A file may have up to {mebibytes} MiB.", limit=self.limit)
