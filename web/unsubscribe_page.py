"""The page behind the link in a mail that ends the mails to its recipient (RFC 8058).

Programs that look at mails follow their links, so only a POST changes anything: that of
the page's button, or that of a mail program.
"""

from typing import Any

from bottle import HTTPResponse

from api import bodies
from api.uploads import Upload
from datastore import unsubscribe
from models.base import utc_now
from models.errors import Invalid
from models.unsubscribe import (
    FIELD,
    PATH,
    PURPOSE,
    TOKEN_LENGTH,
    VALUE,
    UnsubscribeTokens,
)
from web import multipart
from web.page_request import PageRequest, page

# Bottle's pattern of the address.
ADDRESS = f"{PATH}<token:re:[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}>"
BODY_LIMIT = 16 * 1024


def show(request: PageRequest, token: str) -> HTTPResponse:
    """A button, or that there are no more mails."""
    device_id = _device_of(request, token)
    with request.app.store.read() as session:
        has_mails = (
            None if device_id is None else unsubscribe.has_mails(session, device_id)
        )
    return _page("unknown" if has_mails is None else "ask" if has_mails else "done")


def end(request: PageRequest, token: str) -> HTTPResponse:
    """End the mails; no cookie is needed, and no redirect may follow."""
    with request.released():
        wanted = _field(request.environ)
    if wanted != VALUE:
        raise Invalid(f"The form must say {FIELD}={VALUE}.")
    device_id = _device_of(request, token)
    if device_id is None:
        return _page("unknown")
    with request.app.store.write() as session:
        is_known = unsubscribe.unsubscribe(session, device_id, utc_now())
    return _page("done" if is_known else "unknown")


def _device_of(request: PageRequest, token: str) -> int | None:
    """The device of a link that the service key has signed, or the one before."""
    keys = request.app.service_key.derive(PURPOSE)
    found = [UnsubscribeTokens(key).device_of(token) for key in keys]
    return next((device for device in found if device is not None), None)


def _field(environ: dict[str, Any]) -> str | None:
    """The field of a form in one of the two encodings that mail programs use."""
    content_type = environ.get("CONTENT_TYPE", "")
    if not content_type.lower().startswith(multipart.MEDIA_TYPE):
        return bodies.read_form(environ, BODY_LIMIT).get(FIELD)
    pieces = Upload(environ, BODY_LIMIT, needs_length=False).pieces()
    values = {part.name: part.value() for part in multipart.parts(content_type, pieces)}
    return values.get(FIELD)


def _page(state: str) -> HTTPResponse:
    return page(
        "unsubscribe",
        status=404 if state == "unknown" else 200,
        state=state,
        field=FIELD,
        value=VALUE,
    )
