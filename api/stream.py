"""Reads a body from the WSGI host, and what the host knows about its length."""

from typing import Any

from models.errors import CallerError, TooSlow

MAX_DIGITS = 18


def content_length(environ: dict[str, Any]) -> int | None:
    """The Content-Length; None without one."""
    stated = environ.get("CONTENT_LENGTH") or ""
    if not stated:
        return None
    if not (stated.isascii() and stated.isdigit()):
        raise CallerError("The Content-Length is not a number.")
    # int() is slow for very long strings; 18 digits are above every limit anyway.
    return int(stated) if len(stated) <= MAX_DIGITS else 10**MAX_DIGITS


def is_terminated(environ: dict[str, Any]) -> bool:
    """Whether the host finds the end of a body that has no Content-Length.

    Some hosts take a broken connection for the end; see `reports_truncation`.
    """
    return bool(environ.get("wsgi.input_terminated"))


def reports_truncation(environ: dict[str, Any]) -> bool:
    """Whether the host raises OSError when the connection breaks within a body."""
    return bool(environ.get("bottlepost.reports_truncation"))


def is_chunked(environ: dict[str, Any]) -> bool:
    """Whether there is a body without a Content-Length."""
    has_length = bool(environ.get("CONTENT_LENGTH"))
    return bool(environ.get("HTTP_TRANSFER_ENCODING")) and not has_length


def receive(environ: dict[str, Any], size: int) -> bytes:
    """Up to `size` bytes; raises CallerError if they do not come."""
    try:
        return bytes(environ["wsgi.input"].read(size))
    except TimeoutError:
        raise TooSlow from None
    except OSError:
        raise CallerError("The body could not be received.") from None
