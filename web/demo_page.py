"""The page on `/`: the demo where `make run` has set one up, else where to go."""

import json
import ssl
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from bottle import HTTPResponse

from api import errors
from models.errors import NotFound
from web.page_request import SAFE_HEADERS, PageRequest, page
from web.session import USER_COOKIE, set_cookie

GATEWAY_TIMEOUT_S = 20
PUSHES_AT_ONCE = 200


def show(request: PageRequest) -> HTTPResponse:
    scene = _scene(request)
    if scene is None:
        return page("start", title="Start")
    answer = page("demo", title="Demo", scene=scene, writer=scene["people"][0])
    # So that the links to jobs work; everybody here may see all of them.
    set_cookie(answer, request.environ, USER_COOKIE, scene["people"][0]["token"])
    return answer


def inbox(request: PageRequest) -> HTTPResponse:
    """What has arrived on the phones, fetched so that no browser need trust a CA."""
    scene = _scene(request)
    if scene is None:
        raise NotFound
    since = request.environ.get("QUERY_STRING", "").removeprefix("since=")
    if not (since.isascii() and since.isdigit() and len(since) <= 12):
        since = "0"
    try:
        with request.released():
            told = _fetch(scene["inbox"], scene["ca_file"], since)
    except (OSError, URLError):
        return errors.as_json(errors.unavailable("The sandbox does not answer."))
    headers = {**SAFE_HEADERS, **errors.JSON_HEADERS}
    return HTTPResponse(json.dumps(told), headers=headers)


def _scene(request: PageRequest) -> dict[str, Any] | None:
    """The people, phones and gateway; None where no demo runs, or not yet."""
    path = request.demo_file
    try:
        return None if path is None else dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return None


def _fetch(url: str, ca_file: str, since: str) -> dict[str, Any]:
    address = f"{url}?since={since}&limit={PUSHES_AT_ONCE}"
    context = _tls(ca_file, Path(ca_file).stat().st_mtime)
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
    with opener.open(address, timeout=GATEWAY_TIMEOUT_S) as answer:
        last = int(answer.headers["x-inbox-last"])
        return {"last": last, "pushes": json.load(answer)}


@cache
def _tls(ca_file: str, changed_at: float) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
