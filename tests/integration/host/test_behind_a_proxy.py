"""Every host behind a proxy that ends TLS and puts the server under a path."""

import json
import os
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPSConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

import pytest

from datastore import Datastore, migrations
from tests.support import push_processes, tls, tls_proxy
from tests.support.client import Client, Reply
from tests.support.dispatcher_host import BIN, GUNICORN, UWSGI
from tests.support.matrix import some_of
from tests.support.server import Server
from tests.support.tls_proxy import PREFIX

HOSTS = {
    "own": f"{sys.executable} server.py",
    "gunicorn": GUNICORN,
    "uwsgi": UWSGI,
    "waitress": f"{BIN}/waitress-serve --listen 127.0.0.1:{{port}} "
    "--no-clear-untrusted-proxy-headers --call server:create_app",
}
ORIGIN = "https://app.example.org"
PROXIES = (
    "ours",
    "ours, and the prefix stays",
    pytest.param("nginx", marks=pytest.mark.nginx),
)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Site:
    """A server, and the address of the proxy in front of it."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self._parts = urlsplit(url)
        # The certificate is for this test only.
        self._context = ssl._create_unverified_context()

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Reply:
        host = self._parts.netloc
        connection = HTTPSConnection(host, context=self._context, timeout=120)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, self._parts.path + path, body, sent)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module", params=some_of(HOSTS, ["own", "gunicorn"]))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp(request.param)
    store = Datastore(f"sqlite:///{directory}/bottlepost.db")
    migrations.upgrade(store)
    store.close()
    environment = {
        "BOTTLEPOST_TRUSTED_PROXIES": "127.0.0.1",
        "BOTTLEPOST_CORS_ORIGINS": ORIGIN,
    }
    command = HOSTS[request.param].split()
    with Server(directory, environment, command) as started:
        yield started
    push_processes.end_all(directory)


@pytest.fixture(params=PROXIES)
def site(
    request: pytest.FixtureRequest,
    server: Server,
    tmp_path: Path,
    missing: Callable[[str], NoReturn],
) -> Iterator[Site]:
    identity = tls.make_authority().issue("127.0.0.1")
    with ExitStack() as stack:
        if request.param == "nginx":
            if not os.environ.get(tls_proxy.NGINX_VARIABLE):
                pytest.skip("nginx is tried by make test-nginx")
            if tls_proxy.nginx_program() is None:
                missing("nginx")
            proxy = tls_proxy.nginx(server.port, identity, tmp_path)
        else:
            strips = request.param == "ours"
            proxy = tls_proxy.own(server.port, identity, strips=strips)
        yield Site(server, stack.enter_context(proxy))


def test_a_server_knows_the_address_of_its_clients(site: Site) -> None:
    key = site.server.service_key
    service = {"Authorization": f"Bearer {key}", "Content_Type": "application/json"}
    body = urlencode({"service_key": key}).encode()
    origin = f"https://{site._parts.netloc}"

    logged_in = site.ask("POST", "/dashboard/login", body, Origin=origin, **FORM)
    (cookie,) = SimpleCookie(logged_in.headers["set-cookie"]).values()
    session = f"{cookie.key}={cookie.value}"
    dashboard = site.ask("GET", "/dashboard", Cookie=session)
    ann = site.ask("POST", "/users", b'{"name": "Ann"}', **service).json
    own = {**service, "Authorization": f"Bearer {ann['token']}"}
    chat = site.ask("POST", "/groupchat", b'{"name": "Deck"}', **own).json["id"]
    message = json.dumps({"conversation": chat, "message": "Ahoy"}).encode()
    sent = site.ask("POST", "/groupchat/send", message, Origin=ORIGIN, **own)
    document = site.ask("GET", "/openapi.json").json

    assert logged_in.headers["location"] == f"{PREFIX}/dashboard"
    assert (cookie["path"], cookie["secure"]) == (PREFIX, True)
    assert f'href="{PREFIX}/static/dashboard.css'.encode() in dashboard.body
    assert sent.status == 201
    assert sent.json["job"]["url"].startswith(f"{PREFIX}/jobs/")
    assert sent.headers["access-control-allow-origin"] == ORIGIN
    assert [server["url"] for server in document["servers"]] == [PREFIX]


def test_a_page_elsewhere_reads_the_answers(site: Site) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": "authorization",
    }
    large = b"[" + b"1," * 100_000 + b"1]"
    service = {"Authorization": f"Bearer {site.server.service_key}"}
    as_json = {"Content_Type": "application/json", "Origin": ORIGIN}

    replies = [
        site.ask("OPTIONS", "/groupchat/send", **asked),
        site.ask("GET", "/devices", Origin=ORIGIN),
        site.ask("GET", "/nothing", Origin=ORIGIN),
        site.ask("POST", "/users", large, **service, **as_json),
    ]

    assert [reply.status for reply in replies] == [204, 401, 404, 413]
    for reply in replies:
        assert reply.headers["access-control-allow-origin"] == ORIGIN
    page = site.ask("GET", "/dashboard", Origin=ORIGIN)
    assert "access-control-allow-origin" not in page.headers


def test_our_host_lets_a_page_read_its_own_refusals(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("refusals")
    with Server(directory, {"BOTTLEPOST_CORS_ORIGINS": ORIGIN}) as server:

        def refused(origin: str) -> Any:
            headers = {"Origin": origin, "Host": "a@b"}
            return Client(server.url).request("GET", "/healthz", headers=headers)

        assert refused(ORIGIN).status == 400
        assert refused(ORIGIN).headers["access-control-allow-origin"] == ORIGIN
        other = refused("https://evil.example")
        assert "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "Origin"
