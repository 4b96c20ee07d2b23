"""The bytes of a body as the WSGI host hands them over, and what it says of them."""

from typing import Any

from models.errors import CallerError

MOST_DIGITS = 18


def stated_length(environ: dict[str, Any]) -> int | None:
    """What the caller's Content-Length says; None without one."""
    stated = environ.get("CONTENT_LENGTH") or ""
    if not stated:
        return None
    if not (stated.isascii() and stated.isdigit()):
        raise CallerError("The Content-Length is not a number.")
    # int() of very many digits is slow, and so many are above every limit.
    return int(stated) if len(stated) <= MOST_DIGITS else 10**MOST_DIGITS


def has_end(environ: dict[str, Any]) -> bool:
    """The host tells by itself where a body without a length ends.

    Not how: to some of them a body that breaks off has come to its end.
    """
    return bool(environ.get("wsgi.input_terminated"))


def tells_breaks(environ: dict[str, Any]) -> bool:
    """A body that breaks off is an error to the host, and never just its end."""
    return bool(environ.get("bottlepost.breaks_are_told"))


def is_chunked(environ: dict[str, Any]) -> bool:
    """There is a body, though nobody knows how long it will be."""
    has_length = bool(environ.get("CONTENT_LENGTH"))
    return bool(environ.get("HTTP_TRANSFER_ENCODING")) and not has_length


def receive(environ: dict[str, Any], size: int) -> bytes:
    """So many bytes, or fewer; raises CallerError when the connection breaks."""
    try:
        return bytes(environ["wsgi.input"].read(size))
    except OSError:
        raise CallerError("The body could not be received.") from None
