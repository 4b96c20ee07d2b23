"""CORS: which answers the pages of other origins may read."""

from collections.abc import Iterator
from typing import Any

import pytest

from api.rate_limits import per_minute
from datastore import Datastore
from tests.support import databases
from tests.support.chat_api import SERVICE_KEY, build_app
from tests.support.client import Reply
from tests.support.recording_dispatcher import RecordingDispatcher
from tests.support.wsgi_client import WsgiClient

ORIGIN = "https://app.example.org"
ALLOWED = "access-control-allow-origin"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path_factory.mktemp("cors")) as store:
        yield store


def api_for(store: Datastore, *origins: str, **more: Any) -> WsgiClient:
    app = build_app(store, RecordingDispatcher(), cors_origins=origins, **more)
    return WsgiClient(app, SERVICE_KEY)


@pytest.fixture(scope="module")
def api(store: Datastore) -> WsgiClient:
    return api_for(store, ORIGIN, "capacitor://localhost")


def preflight(
    client: WsgiClient, path: str, method: str = "POST", origin: str = ORIGIN
) -> Reply:
    return client.as_user(None).request(
        "OPTIONS",
        path,
        HTTP_ORIGIN=origin,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD=method,
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,content-type",
        HTTP_X_REQUEST_ID="asked-1",
    )


@pytest.mark.parametrize("origin", [ORIGIN, "capacitor://localhost"])
def test_a_listed_origin_may_ask_and_read(api: WsgiClient, origin: str) -> None:
    asked = preflight(api, "/groupchat/send", origin=origin)
    read = api.request("GET", "/users?external_id=x", HTTP_ORIGIN=origin)

    assert (asked.status, asked.body) == (204, b"")
    assert asked.headers["x-request-id"] == "asked-1"
    assert asked.headers[ALLOWED] == origin
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        assert method in asked.headers["access-control-allow-methods"]
    for header in ("Authorization", "Content-Type", "X-Request-Id"):
        assert header in asked.headers["access-control-allow-headers"]
    assert int(asked.headers["access-control-max-age"]) > 0
    assert read.headers[ALLOWED] == origin
    assert "Retry-After" in read.headers["access-control-expose-headers"]
    for reply in (asked, read):
        assert "Origin" in reply.headers["vary"]
        assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.org.evil.example",
        "http://app.example.org",
        "https://app.example.org:8443",
        "null",
        "*",
        "",
    ],
)
def test_other_origins_are_not_let_in(api: WsgiClient, origin: str) -> None:
    asked = preflight(api, "/groupchat/send", origin=origin)
    read = api.request("GET", "/healthz", HTTP_ORIGIN=origin)

    for reply in (asked, read):
        assert ALLOWED not in reply.headers
        assert "access-control-allow-methods" not in reply.headers
    # A cache must not give this answer to an origin that may read it.
    assert read.headers["vary"] == "Origin"


def test_any_origin_may_be_allowed(store: Datastore) -> None:
    api = api_for(store, "*")

    assert preflight(api, "/devices", origin="null").headers[ALLOWED] == "*"
    assert api.request("GET", "/healthz", HTTP_ORIGIN=ORIGIN).headers[ALLOWED] == "*"


def test_nothing_is_said_without_the_setting(store: Datastore) -> None:
    api = api_for(store)

    asked = preflight(api, "/groupchat/send")
    read = api.request("GET", "/healthz", HTTP_ORIGIN=ORIGIN)

    assert asked.status == 405
    for reply in (asked, read):
        assert not [name for name in reply.headers if name.startswith("access-control")]
        assert "vary" not in reply.headers


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/groupchat/send", b"{", 400),
        ("GET", "/jobs/999", None, 404),
        ("GET", "/nothing/here", None, 404),
        ("PUT", "/groupchat/send", None, 405),
        ("POST", "/users", b"[" + b"1," * 100_000 + b"1]", 413),
    ],
)
def test_an_error_can_be_read(
    api: WsgiClient, method: str, path: str, body: bytes | None, status: int
) -> None:
    reply = api.request(method, path, body, HTTP_ORIGIN=ORIGIN)

    assert preflight(api, path, method).status == 204
    assert (reply.status, reply.headers[ALLOWED]) == (status, ORIGIN)
    assert reply.code


def test_a_missing_token_and_a_limit_can_be_read(store: Datastore) -> None:
    api = api_for(store, ORIGIN, limits=per_minute(user=1))
    user = api.post("/users", {"name": "Ann"}).json
    ann = api.as_user(user["token"])
    chat = ann.post("/groupchat", {"name": "Deck"}).json["id"]
    body = {"conversation": chat, "message": "Ahoy"}

    replies = [
        ann.request("POST", "/groupchat/send", body, HTTP_ORIGIN=ORIGIN)
        for _ in range(2)
    ]
    stranger = api.as_user("nobody").request("GET", "/devices", HTTP_ORIGIN=ORIGIN)

    assert [reply.status for reply in replies] == [201, 429]
    assert stranger.status == 401
    assert {r.headers[ALLOWED] for r in (*replies, stranger)} == {ORIGIN}


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/", "*/*"),
        ("/dashboard", "*/*"),
        ("/docs", "*/*"),
        ("/demo/inbox", "*/*"),
        ("/static/site.css", "*/*"),
        ("/worker.js", "*/*"),
        ("/imports", "*/*"),
        ("/jobs/1/result", "*/*"),
        ("/jobs/1", "text/html"),
    ],
)
def test_pages_are_for_nobody_else(store: Datastore, path: str, accept: str) -> None:
    for origins in ((ORIGIN,), ("*",)):
        client = api_for(store, *origins)
        read = client.request("GET", path, HTTP_ORIGIN=ORIGIN, HTTP_ACCEPT=accept)

        assert ALLOWED not in read.headers


@pytest.mark.parametrize("path", ["/dashboard/login", "/imports", "/pages/query"])
def test_a_form_of_ours_cannot_be_sent_by_others(api: WsgiClient, path: str) -> None:
    # Browsers go on only after a success.
    assert preflight(api, path).status == 405
