"""A browser's request, and the answers it understands."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bottle import HTTPResponse

from api import auth
from api.auth import Access
from api.context import AppContext, RequestContext
from models.errors import Forbidden, Unauthorized
from web import assets
from web.session import OPERATOR_COOKIE, USER_COOKIE, Sessions

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with that, browsers hide a form's origin from us, too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    **SAFE_HEADERS,
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Vary": "Accept",
    "Content-Security-Policy": POLICY,
}


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """What a page's handler gets."""

    app: AppContext
    # Written by `make run`; with it, `/` is the demo.
    demo_file: Path | None
    sessions: Sessions
    environ: dict[str, Any]
    # The fields that were filled in.
    form: dict[str, str]

    def cookie(self, name: str) -> str:
        try:
            found = SimpleCookie(self.environ.get("HTTP_COOKIE", "")).get(name)
        except CookieError:
            return ""
        return found.value if found else ""

    @property
    def is_operator(self) -> bool:
        """The browser has shown the service key, not long ago."""
        cookie = self.cookie(OPERATOR_COOKIE)
        return bool(cookie) and self.sessions.is_valid(cookie)

    def context(self, token: str = "") -> RequestContext:
        """The same as a request to the API, by a token or by the browser's cookie."""
        if not token and self.is_operator:
            return RequestContext(app=self.app, caller=None, is_service=True)
        bearer = f"Bearer {token or self.cookie(USER_COOKIE)}"
        caller, is_service = auth.authenticate(
            {**self.environ, "HTTP_AUTHORIZATION": bearer},
            Access.USER_OR_SERVICE,
            self.app,
        )
        return RequestContext(app=self.app, caller=caller, is_service=is_service)

    def released(self) -> AbstractContextManager[None]:
        """While a page only waits for somebody else, other requests are let in."""
        return RequestContext(app=self.app, caller=None).released()

    def check_origin(self) -> None:
        """Raises Forbidden when another site made the browser send its cookie here."""
        site = self.environ.get("HTTP_SEC_FETCH_SITE")
        origin = self.environ.get("HTTP_ORIGIN")
        if site is not None:
            is_ours = site in ("same-origin", "none")
        else:
            host = self.environ.get("HTTP_HOST", "")
            is_ours = origin is None or _host_of(origin) == host
        if not is_ours:
            raise Forbidden("This form was sent from another site.")

    def operator_form(self) -> dict[str, str]:
        """The form of an operator, surely filled in on our page."""
        self.check_operator()
        self.check_key(self.form.get("key", ""))
        return self.form

    def check_operator(self) -> None:
        """Raises Unauthorized or Forbidden unless an operator sent it from our page."""
        if not self.is_operator:
            raise Unauthorized
        self.check_origin()

    def check_key(self, key: str) -> None:
        """Raises Forbidden unless our own forms of this session have that key."""
        if not self.sessions.is_form_key(self.cookie(OPERATOR_COOKIE), key):
            raise Forbidden("This form is out of date; load the page again.")


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def page(view: str, *, status: int = 200, **values: object) -> HTTPResponse:
    return HTTPResponse(assets.render(view, **values), status=status, **PAGE_HEADERS)


def redirect(to: str) -> HTTPResponse:
    """To be looked at with GET, whatever led here."""
    return HTTPResponse(b"", status=303, Location=to, **PAGE_HEADERS)
