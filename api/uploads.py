"""Receiving a large body piece by piece: it is never held as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from models.errors import CallerError, TooLarge, UnsupportedType

PIECE_SIZE = 64 * 1024
JSON_LINES = "application/x-ndjson"
CSV = "text/csv"
MEDIA_TYPES = (JSON_LINES, CSV)


@dataclass(frozen=True)
class Upload:
    """A body on its way to us."""

    environ: dict[str, Any]
    limit: int

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
        stated = self.environ.get("CONTENT_LENGTH") or ""
        if not stated:
            if self.environ.get("wsgi.input_terminated"):
                return None
            raise CallerError("This server needs a Content-Length.")
        if not (stated.isascii() and stated.isdigit()):
            raise CallerError("The Content-Length is not a number.")
        # The length of the text first: int() of very many digits is slow.
        if len(stated) > 18 or int(stated) > self.limit:
            raise self._too_large()
        return int(stated)

    def pieces(self) -> Iterator[bytes]:
        """Raises CallerError when the body ends early or does not end in time."""
        length = self.check_length()
        received = 0
        while length is None or received < length:
            rest = PIECE_SIZE if length is None else length - received
            piece = self._read(min(rest, PIECE_SIZE))
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

    def _read(self, size: int) -> bytes:
        try:
            return bytes(self.environ["wsgi.input"].read(size))
        except OSError:
            raise CallerError("The body could not be received.") from None
