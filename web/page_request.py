"""A browser's request, and its HTML responses and redirects."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bottle
from bottle import HTTPResponse

from api import auth
from api.auth import Access
from api.context import AppContext, RequestContext, origin_of
from bottlepost.logs import audit
from datastore import operator_sessions
from datastore.posts import Origin
from models.base import utc_now
from models.errors import Forbidden, Unauthorized
from web import assets
from web.session import OPERATOR_COOKIE, USER_COOKIE, Sessions

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # With "no-referrer", browsers would also hide a form's origin from us.
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
    """A browser's request for the handler of a page."""

    app: AppContext
    # Written by `make run`; with it, `/` is the demo.
    demo_file: Path | None
    sessions: Sessions
    environ: dict[str, Any]
    # The fields of the form that were filled in.
    form: dict[str, str]

    def cookie(self, name: str) -> str:
        try:
            found = SimpleCookie(self.environ.get("HTTP_COOKIE", "")).get(name)
        except CookieError:
            return ""
        return found.value if found else ""

    @cached_property
    def is_operator(self) -> bool:
        """Whether the browser has a valid session of an operator."""
        cookie = self.cookie(OPERATOR_COOKIE)
        if not cookie or not self.sessions.is_valid(cookie):
            return False
        with self.app.store.lookup() as link:
            return not operator_sessions.has_ended(link, cookie)

    def end_session(self) -> None:
        """End the operator's session, in all processes."""
        cookie = self.cookie(OPERATOR_COOKIE)
        expires_at = self.sessions.expires_at(cookie)
        with self.app.store.write() as session:
            operator_sessions.end(session, cookie, expires_at, utc_now())

    def context(self, token: str = "") -> RequestContext:
        """The context of an API request, authenticated by a token or a cookie."""
        address = self.app.address_of(self.environ)
        if not token and self.is_operator:
            return RequestContext(
                app=self.app,
                caller=None,
                is_service=True,
                address=address,
                origin=self.origin,
                prefix=prefix(),
            )
        bearer = f"Bearer {token or self.cookie(USER_COOKIE)}"
        caller, is_service = auth.authenticate(
            {**self.environ, "HTTP_AUTHORIZATION": bearer},
            Access.USER_OR_SERVICE,
            self.app,
        )
        return RequestContext(
            app=self.app,
            caller=caller,
            is_service=is_service,
            address=address,
            origin=self.origin,
            prefix=prefix(),
        )

    def audit(self, action: str, *, session: str = "", **about: int | str) -> None:
        """Tell in the log what the operator did, or whoever wants to be one."""
        cookie = session or (self.cookie(OPERATOR_COOKIE) if self.is_operator else "")
        who = f"operator:{audit.fingerprint(cookie)}" if cookie else "unknown"
        client = self.app.addresses.of_environ(self.environ)
        audit.record(action, who=who, client=client, **about)

    @property
    def origin(self) -> Origin:
        return origin_of(self.environ)

    def released(self) -> AbstractContextManager[None]:
        """Leave the request's limit while the handler only waits."""
        method = self.environ["REQUEST_METHOD"]
        return RequestContext(app=self.app, caller=None).released(method)

    @property
    def is_from_our_site(self) -> bool:
        """Whether no other site has made the browser send this form."""
        site = self.environ.get("HTTP_SEC_FETCH_SITE")
        if site is not None:
            return site in ("same-origin", "none")
        origin = self.environ.get("HTTP_ORIGIN")
        if origin is None:
            return True
        ours = {self.environ.get("HTTP_HOST", ""), _host_of(self.app.public_url or "")}
        return _host_of(origin) in ours - {"", None}

    def check_origin(self) -> None:
        """Raises Forbidden if another site made the browser send this form."""
        if not self.is_from_our_site:
            raise Forbidden("This form was sent from another site.")

    def operator_form(self) -> dict[str, str]:
        """The form, if an operator sent it from our page; raises as the checks do."""
        self.check_operator()
        self.check_csrf_token(self.form.get("key", ""))
        return self.form

    def check_operator(self) -> None:
        """Raises Unauthorized or Forbidden unless an operator sent it from our site."""
        if not self.is_operator:
            raise Unauthorized
        self.check_origin()

    def check_csrf_token(self, token: str) -> None:
        """Raises Forbidden unless the form has this session's CSRF token."""
        if not self.sessions.is_csrf_token(self.cookie(OPERATOR_COOKIE), token):
            raise Forbidden("This form is out of date; reload the page.")


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def page(view: str, *, status: int = 200, **values: object) -> HTTPResponse:
    """A template as a response."""
    html = assets.render(view, prefix(), **values)
    return HTTPResponse(html, status=status, **PAGE_HEADERS)


def redirect(to: str) -> HTTPResponse:
    """Redirect to an address of ours; the browser follows with GET after any method."""
    return HTTPResponse(b"", status=303, Location=prefix() + to, **PAGE_HEADERS)


def prefix() -> str:
    """What a proxy has in front of the addresses of the current request."""
    found: str = bottle.request.environ.get("SCRIPT_NAME", "")
    return found
