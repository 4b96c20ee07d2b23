"""Bottle with an id for each request: in the log, in the response, and for its job."""

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

from bottle import Bottle

from bottlepost.logs import addresses, context, request_ids

log = logging.getLogger(__name__)

Start = Callable[..., Any]


class Application(Bottle):  # type: ignore[misc]
    """The WSGI application."""

    def wsgi(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        """Answer a request; Bottle calls it for each."""
        found = identify(environ)
        environ["wsgi.errors"] = _ERRORS

        def start(status: str, headers: list[Any], exc_info: Any = None) -> Any:
            return start_response(
                status, [*headers, (request_ids.HEADER, found)], exc_info
            )

        token = context.request_id.set(found)
        try:
            answer: Iterable[bytes] = super().wsgi(environ, start)
            return answer
        finally:
            context.request_id.reset(token)


def identify(environ: dict[str, Any]) -> str:
    """The id of the request; our own host has chosen it already."""
    found: str | None = environ.get(request_ids.ENVIRON)
    if found is None:
        found = request_ids.of(environ.get("HTTP_X_REQUEST_ID"))
        environ[request_ids.ENVIRON] = found
        _tell_host(environ, found)
    return found


def _tell_host(environ: dict[str, Any], request_id: str) -> None:
    """Give another host what its access log may show; see docs/logs.md."""
    raw = environ.get("PATH_INFO", "").encode("latin-1", "replace")
    path = addresses.shown(
        raw.decode("utf-8", "replace"), environ.get("QUERY_STRING", "")
    )
    environ[addresses.ENVIRON] = path
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is not None:
        uwsgi.set_logvar("bottlepost_path", path)
        uwsgi.set_logvar("bottlepost_request", request_id)


class _Errors:
    """Takes what Bottle would print of an exception that no handler has caught."""

    def write(self, text: str) -> None:
        if text.startswith("Traceback"):
            # Its error handler is called next, and logs the incident.
            return
        log.error("a request failed", exc_info=sys.exc_info()[1])

    def flush(self) -> None:
        """Nothing is kept."""


_ERRORS = _Errors()
