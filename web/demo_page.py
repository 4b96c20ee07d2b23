"""The page at `/`: the demo if `make run` has set one up, else the start page."""

import json
import ssl
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from bottle import HTTPResponse

from api import errors
from models.errors import Forbidden, NotFound
from web.page_request import SAFE_HEADERS, PageRequest, page
from web.session import USER_COOKIE, set_cookie

SANDBOX_TIMEOUT_S = 20
MAX_PUSHES = 200


def show(request: PageRequest) -> HTTPResponse:
    """The demo, or the start page."""
    scene = _scene(request)
    if scene is None:
        return page("start", title="Start")
    answer = page("demo", title="Demo", scene=scene, writer=scene["people"][0])
    # The links to jobs need a cookie; every person of the demo may see all jobs.
    set_cookie(answer, request.environ, USER_COOKIE, scene["people"][0]["token"])
    return answer


def inbox(request: PageRequest) -> HTTPResponse:
    """The pushes in the sandbox; fetched here, so that no browser must trust its CA."""
    scene = _scene(request)
    if scene is None:
        raise NotFound
    since = request.environ.get("QUERY_STRING", "").removeprefix("since=")
    if not (since.isascii() and since.isdigit() and len(since) <= 12):
        since = "0"
    try:
        with request.released():
            pushes = _fetch(scene["inbox"], scene["ca_file"], since)
    except (OSError, URLError):
        return errors.as_json(errors.unavailable("The sandbox does not answer."))
    headers = {**SAFE_HEADERS, **errors.JSON_HEADERS}
    return HTTPResponse(json.dumps(pushes), headers=headers)


def _scene(request: PageRequest) -> dict[str, Any] | None:
    """The people, phones and sandbox of the demo; None if no demo is running."""
    path = request.demo_file
    try:
        scene = None if path is None else dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    if scene is not None:
        _check_host(request, scene.get("host", ""))
    return scene


def _check_host(request: PageRequest, configured: str) -> None:
    """Raises Forbidden for a name that is not ours.

    A website could have a name of its own lead to this address after its page has been
    loaded (DNS rebinding), and then read the tokens.
    """
    try:
        host = urlsplit(f"//{request.environ.get('HTTP_HOST', '')}").hostname or ""
        public = urlsplit(request.app.public_url or "").hostname
    except ValueError:
        host, public = "", None
    try:
        ip_address(host)
    except ValueError:
        if host not in ("localhost", configured, public) and not host.endswith(
            ".localhost"
        ):
            raise Forbidden(
                "The demo shows its tokens only at localhost and at BOTTLEPOST_HOST."
            ) from None


def _fetch(url: str, ca_file: str, since: str) -> dict[str, Any]:
    address = f"{url}?since={since}&limit={MAX_PUSHES}"
    context = _tls(ca_file, Path(ca_file).stat().st_mtime)
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
    with opener.open(address, timeout=SANDBOX_TIMEOUT_S) as answer:
        last = int(answer.headers["x-inbox-last"])
        return {"last": last, "pushes": json.load(answer)}


@cache
def _tls(ca_file: str, changed_at: float) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
