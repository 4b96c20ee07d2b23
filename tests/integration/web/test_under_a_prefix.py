"""The pages and links behind a proxy, under a path in front of all addresses."""

import re
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import pytest

from api.client_address import ClientAddresses
from datastore import Datastore
from tests.support import databases
from tests.support.chat_api import SERVICE_KEY, build_app
from tests.support.client import Reply
from tests.support.recording_dispatcher import RecordingDispatcher
from tests.support.wsgi_client import WsgiClient

PROXY = "127.0.0.1"
PREFIX = "/chat"
FORWARDED = {
    "REMOTE_ADDR": PROXY,
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "example.org",
    "HTTP_X_FORWARDED_PREFIX": PREFIX,
}
PUBLIC = {"REMOTE_ADDR": "192.0.2.1"}
PAGES = ["/", "/docs", "/dashboard", "/imports", "/notifications", "/jobs/999/result"]
addresses_in = re.compile(r'\s(?:href|src|action)="([^"]*)"').findall


class Behind:
    """A client whose requests a proxy passes on."""

    def __init__(self, app: Any, environ: dict[str, str]) -> None:
        self._app = app
        self._environ = environ
        self.cookie = ""

    def request(self, method: str, path: str, body: Any = None, **more: str) -> Reply:
        environ = {**self._environ, "HTTP_COOKIE": self.cookie, **more}
        return WsgiClient(self._app).request(method, path, body, **environ)

    def form(self, path: str, **fields: str) -> Reply:
        form = "application/x-www-form-urlencoded"
        body = urlencode(fields).encode()
        return self.request("POST", path, body, CONTENT_TYPE=form)

    def sign_in(self) -> Reply:
        answer = self.form("/dashboard/login", service_key=SERVICE_KEY)
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        self.cookie = f"{cookie.key}={cookie.value}"
        return answer


@pytest.fixture(scope="module", params=["told", "set", "left in the path", "mounted"])
def behind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    with databases.fresh("sqlite", tmp_path_factory.mktemp("prefix")) as store:
        yield _behind(store, request.param)


def _behind(store: Datastore, way: str) -> Behind:
    public_url = f"https://example.org{PREFIX}" if way == "set" else None
    app = build_app(
        store,
        RecordingDispatcher(),
        addresses=ClientAddresses((PROXY,)),
        public_url=public_url,
    )
    if way == "set":
        return Behind(app, PUBLIC)
    if way == "mounted":
        host = {"SCRIPT_NAME": PREFIX, "wsgi.url_scheme": "https"}
        return Behind(app, {**PUBLIC, **host})
    if way == "told":
        return Behind(app, FORWARDED)
    behind = Behind(app, FORWARDED)
    plain = behind.request
    behind.request = lambda method, path, *args, **more: plain(  # type: ignore[method-assign]
        method, PREFIX + path, *args, **more
    )
    return behind


def test_every_address_of_a_page_has_the_prefix(behind: Behind) -> None:
    behind.sign_in()
    for path in PAGES:
        html = behind.request("GET", path, HTTP_ACCEPT="text/html").body.decode()

        found = [each for each in addresses_in(html) if not each.startswith("#")]
        assert found
        assert [each for each in found if not each.startswith(f"{PREFIX}/")] == []
        # An asset is where the page says.
        asset = next(each for each in found if "site.css" in each)
        assert behind.request("GET", asset.removeprefix(PREFIX)).status == 200


def test_a_login_leads_to_the_dashboard(behind: Behind) -> None:
    answer = behind.sign_in()

    assert answer.status == 303
    assert answer.headers["location"] == f"{PREFIX}/dashboard"
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie["path"] == PREFIX
    assert cookie["secure"]
    assert behind.request("GET", "/dashboard").status == 200


def test_links_of_the_api_have_the_prefix(behind: Behind) -> None:
    service = {"HTTP_AUTHORIZATION": f"Bearer {SERVICE_KEY}"}
    ann = behind.request("POST", "/users", {"name": "Ann"}, **service).json
    own = {"HTTP_AUTHORIZATION": f"Bearer {ann['token']}"}
    chat = behind.request("POST", "/groupchat", {"name": "Deck"}, **own).json["id"]
    body = {"conversation": chat, "message": "Ahoy"}

    sent = behind.request("POST", "/groupchat/send", body, **own).json
    by_form = behind.form(
        "/groupchat/send", token=ann["token"], conversation=str(chat), message="Ahoy"
    )
    document = behind.request("GET", "/openapi.json").json

    assert sent["job"]["url"] == f"{PREFIX}/jobs/{sent['job']['id']}"
    assert by_form.headers["location"] == f"{PREFIX}/jobs/{sent['job']['id'] + 1}"
    (server,) = document["servers"]
    assert server["url"] in (PREFIX, f"https://example.org{PREFIX}")


def test_a_form_of_an_old_browser_is_ours(behind: Behind) -> None:
    """Browsers without Sec-Fetch-Site tell the origin, which the proxy knows."""
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
    body = urlencode({"service_key": SERVICE_KEY}).encode()

    def log_in(origin: str) -> int:
        headers = {**form, "HTTP_ORIGIN": origin, "HTTP_HOST": "example.org"}
        return behind.request("POST", "/dashboard/login", body, **headers).status

    assert log_in("https://example.org") == 303
    assert log_in("https://evil.example") == 403
    assert log_in("null") == 403


def test_without_a_proxy_nothing_changes(tmp_path: Any) -> None:
    with databases.fresh("sqlite", tmp_path) as store:
        app = build_app(store, RecordingDispatcher())
        direct = Behind(app, {**FORWARDED, "REMOTE_ADDR": "192.0.2.1"})

        answer = direct.sign_in()

        assert answer.headers["location"] == "/dashboard"
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        assert (cookie["path"], cookie["secure"]) == ("/", "")
        (server,) = direct.request("GET", "/openapi.json").json["servers"]
        assert server["url"] == "/"
        assert PREFIX + "/" not in direct.request("GET", "/dashboard").body.decode()
