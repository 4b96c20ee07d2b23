"""The table of pages, and how pages share addresses with the API."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import bottle
from bottle import Bottle, HTTPError, HTTPResponse

from api import bodies, cors, errors
from api.context import AppContext
from api.errors import ErrorResponse
from models.errors import NotFound
from web import (
    api_docs,
    assets,
    dashboard,
    demo_page,
    import_page,
    job_pages,
    login_page,
    notification_page,
    unsubscribe_page,
    user_page,
)
from web.page_request import PAGE_HEADERS, SAFE_HEADERS, PageRequest, prefix
from web.session import Sessions

FORM = "application/x-www-form-urlencoded"
# At an address that the API has, too, a browser's request is sent to PREFIX + address.
PREFIX = "/pages"
is_form_address = re.compile(r"/groupchat/send|/query").fullmatch
is_job_address = re.compile(r"/(jobs|imports)/[0-9]+").fullmatch
is_page_of_job = re.compile(r"/(jobs|imports)/[0-9]+(/[a-z]+)?").fullmatch
DEVICE = "/dashboard/devices/<device_id:id>"
OF_DEVICE = "/dashboard/devices/{device_id}"
WORKER = "worker.js"
# Errors that no handler raises: there is nothing at the address.
FOUND_BY_BOTTLE = (404, 405, 500)
A_YEAR_S = 365 * 24 * 3600
TITLES = {
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Not a page",
    429: "Too many requests",
    503: "Not available now",
}


class PageRoute(NamedTuple):
    """A row of the table; a handler takes the page request and the path's parts."""

    method: str
    path: str
    handler: Callable[..., HTTPResponse]
    # The form contains a file, or has two encodings; the handler receives it itself.
    takes_file: bool = False
    # The page with the form, to which an error page leads back; with the path's parts.
    form: str = ""


def static(request: PageRequest, name: str) -> HTTPResponse:
    """A static file; browsers may cache it if the address names its version."""
    asset = assets.static_files().get(name)
    if asset is None:
        raise NotFound
    version = f'"{asset.version}"'
    headers = {**SAFE_HEADERS, "Content-Type": asset.content_type, "ETag": version}
    if request.environ.get("QUERY_STRING") == f"v={asset.version}":
        headers["Cache-Control"] = f"public, max-age={A_YEAR_S}, immutable"
    else:
        # Scripts import one another without a version, so browsers must revalidate.
        headers["Cache-Control"] = "no-cache"
        if request.environ.get("HTTP_IF_NONE_MATCH") == version:
            return HTTPResponse(status=304, **headers)
    return HTTPResponse(asset.content, **headers)


def worker(request: PageRequest) -> HTTPResponse:
    """The service worker, at an address whose scope includes all pages."""
    answer = static(request, WORKER)
    # It outlives the page, and loads nothing but icons: ours, and the senders' avatars.
    policy = "default-src 'none'; img-src 'self' https:"
    answer.set_header("Content-Security-Policy", policy)
    return answer


ROUTES = (
    PageRoute("GET", "/", demo_page.show),
    PageRoute("GET", f"/{WORKER}", worker),
    PageRoute("GET", "/docs", api_docs.show),
    PageRoute("GET", "/demo/inbox", demo_page.inbox),
    PageRoute("GET", "/static/<name>", static),
    PageRoute("POST", f"{PREFIX}/groupchat/send", job_pages.send, form="/"),
    PageRoute("POST", f"{PREFIX}/query", job_pages.query, form="/"),
    PageRoute("GET", f"{PREFIX}/jobs/<job_id:id>", job_pages.push),
    PageRoute("GET", "/jobs/<job_id:id>/<outcome:re:result|error>", job_pages.push),
    PageRoute(
        "POST", "/jobs/<job_id:id>/retry", job_pages.try_again, form="/jobs/{job_id}"
    ),
    PageRoute("GET", import_page.PATH, import_page.show),
    PageRoute(
        "POST",
        import_page.PATH,
        import_page.upload,
        takes_file=True,
        form=import_page.PATH,
    ),
    PageRoute("GET", f"{PREFIX}/imports/<import_id:id>", job_pages.upload),
    PageRoute(
        "GET", "/imports/<import_id:id>/<outcome:re:result|error>", job_pages.upload
    ),
    PageRoute("GET", notification_page.PATH, notification_page.show),
    PageRoute("GET", unsubscribe_page.ADDRESS, unsubscribe_page.show),
    PageRoute("POST", unsubscribe_page.ADDRESS, unsubscribe_page.end, takes_file=True),
    PageRoute("GET", "/dashboard", dashboard.show),
    PageRoute("GET", login_page.PATH, login_page.show),
    PageRoute("POST", login_page.PATH, login_page.log_in, form=login_page.PATH),
    PageRoute("POST", "/dashboard/logout", login_page.log_out, form="/dashboard"),
    PageRoute("GET", f"{user_page.PATH}/<user_id:id>", user_page.show),
    PageRoute("GET", DEVICE, user_page.of_device),
    PageRoute("POST", f"{DEVICE}/disable", user_page.disable, form=OF_DEVICE),
    PageRoute("POST", f"{DEVICE}/enable", user_page.enable, form=OF_DEVICE),
    PageRoute("POST", "/dashboard/test-push", dashboard.test_push, form="/dashboard"),
)


@dataclass(frozen=True, kw_only=True)
class PageEndpoint:
    """Calls a page's handler, and turns each exception into an HTML page."""

    route: PageRoute
    app: AppContext
    demo_file: Path | None
    sessions: Sessions

    def __call__(self, **parts: Any) -> HTTPResponse:
        environ = bottle.request.environ
        request = None
        try:
            request = self._read(environ)
            with self.app.limit(self.route.method):
                return self.route.handler(request, **parts)
        except Exception as problem:
            back = self.route.form.format(**parts)
            path = back or environ["PATH_INFO"].removeprefix(PREFIX)
            error = errors.from_exception(problem)
            to = path if _login_helps(error.status, path, request) else ""
            return _error_page(error, back=back, to=to)

    def _read(self, environ: dict[str, Any]) -> PageRequest:
        """Read outside the limit: a client that sends slowly blocks no others."""
        has_form = self.route.method == "POST" and not self.route.takes_file
        return PageRequest(
            app=self.app,
            demo_file=self.demo_file,
            sessions=self.sessions,
            environ=environ,
            form=bodies.read_form(environ) if has_form else {},
        )


def mount(application: Bottle, app: AppContext, demo_file: Path | None = None) -> None:
    """Add the pages to the API; `/` is the demo only with a `demo_file`."""
    sessions = Sessions(app.service_key)
    for route in ROUTES:
        endpoint = PageEndpoint(
            route=route, app=app, demo_file=demo_file, sessions=sessions
        )
        application.route(route.path, method=route.method, callback=endpoint)
    for status in FOUND_BY_BOTTLE:
        application.error(status)(_answer_unknown)
    application.add_hook("before_request", _route_browsers)
    application.add_hook("before_request", _refuse_malformed_paths)


def _route_browsers() -> None:
    """Route a browser's request for a shared address to the page."""
    environ = bottle.request.environ
    path = environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] == "POST":
        media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        # `curl -d` has the Content-Type of a form, but a form has no bearer token.
        scheme = environ.get("HTTP_AUTHORIZATION", "").partition(" ")[0].lower()
        is_form = media_type == FORM and scheme != "bearer"
        is_for_page = is_form and is_form_address(path)
    else:
        is_for_page = _is_browser(environ) and is_job_address(path)
    if is_for_page:
        environ["PATH_INFO"] = PREFIX + path


def _is_browser(environ: dict[str, Any]) -> bool:
    """Programs accept */* or application/json; every browser names text/html."""
    return "text/html" in environ.get("HTTP_ACCEPT", "")


def _answer_unknown(problem: HTTPError) -> bytes:
    """The body for an error that Bottle found itself, in HTML for browsers."""
    body = errors.from_bottle(problem)
    if not _is_browser(bottle.request.environ):
        return body
    status = problem.status_code
    # A page is for its own site alone.
    bottle.request.environ.pop(cors.READABLE, None)
    for name, value in PAGE_HEADERS.items():
        bottle.response.set_header(name, value)
    message = json.loads(body)["error"]["message"]
    return _render_error(ErrorResponse(status=status, code="", message=message))


def _refuse_malformed_paths() -> None:
    """Give a malformed path to the 404 page.

    Bottle drops bytes that are not UTF-8, so /%ff would be the start page, and its
    patterns accept a trailing line break, so /jobs/1%0a would be /jobs/1.
    """
    environ = bottle.request.environ
    try:
        is_malformed = "\n" in environ["bottle.raw_path"].encode("latin-1").decode()
    except UnicodeError:
        is_malformed = True
    if is_malformed:
        environ["PATH_INFO"] = "/\N{REPLACEMENT CHARACTER}"


def _login_helps(status: int, path: str, request: PageRequest | None) -> bool:
    """An operator sees each job, a member only those of their conversations."""
    if status in (403, 404) and is_page_of_job(path):
        return request is not None and not request.is_operator
    return status == 401


def _error_page(error: ErrorResponse, *, back: str, to: str) -> HTTPResponse:
    """The error that the API would return, as HTML, with a link to the form.

    With `to`, another leads to the login, and from there to this address.
    """
    content = _render_error(error, back=back, to=to)
    headers = {**PAGE_HEADERS, **error.headers}
    return HTTPResponse(content, status=error.status, **headers)


def _render_error(error: ErrorResponse, *, back: str = "", to: str = "") -> bytes:
    needs_login = error.status == 401
    default = "Something went wrong" if error.status >= 500 else "That did not work"
    return assets.render(
        "problem",
        prefix(),
        title=TITLES.get(error.status, default),
        message="Sign in to see this page." if needs_login else error.message,
        back=back,
        sign_in=f"{login_page.PATH}?{urlencode({'to': to})}" if to else "",
    )
