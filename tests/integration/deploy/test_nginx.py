"""nginx takes the sample configuration, and the server can be used through it."""

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.support.nginx import Nginx
from tests.support.server import Server
from tests.support.tls import make_authority

pytestmark = pytest.mark.deploy
Tool = Callable[[str], str]
LINES = 20_000


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers that nginx has sent."""

    def do_GET(self) -> None:
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Site:
    """A server behind nginx, as a client sees it."""

    nginx: Nginx
    tls: ssl.SSLContext

    def ask(
        self,
        path: str,
        token: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        request = urllib.request.Request(self.nginx.url + path, body)
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=60, context=self.tls) as answer:
            return json.loads(answer.read() or b"null")


@pytest.fixture(scope="module")
def proxied(
    tool: Tool, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], tuple[Nginx, ssl.SSLContext]]:
    authority = make_authority()
    identity = authority.issue("localhost")
    tls = ssl.create_default_context(cafile=authority.ca_file)
    program = tool("nginx")

    def make(upstream: int) -> tuple[Nginx, ssl.SSLContext]:
        directory: Path = tmp_path_factory.mktemp("nginx")
        return Nginx(program, directory, identity, upstream), tls

    return make


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    trusted = {"BOTTLEPOST_TRUSTED_PROXIES": "127.0.0.1"}
    with Server(tmp_path_factory.mktemp("server"), trusted) as server:
        yield server


@pytest.fixture(scope="module")
def site(proxied: Any, server: Server) -> Iterator[Site]:
    nginx, tls = proxied(server.port)
    with nginx.running():
        yield Site(nginx, tls)


def test_nginx_finds_the_samples_right(proxied: Any) -> None:
    nginx, _ = proxied(1)

    checked = nginx.check()

    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr


@pytest.mark.parametrize("prefix", ["", "/chat"])
def test_message_is_posted_and_a_long_poll_gets_it(
    site: Site, server: Server, prefix: str
) -> None:
    key = server.service_key
    made = site.ask(f"{prefix}/users", key, b'{"name": "Ann"}')
    token = made["token"]
    chat = site.ask(f"{prefix}/groupchat", token, b'{"name": "Quay", "members": []}')
    path = f"{prefix}/groupchat/{chat['id']}/messages?after=0&wait=30"
    polled: list[Any] = []
    poll = threading.Thread(target=lambda: polled.append(site.ask(path, token)))
    began = time.monotonic()
    poll.start()

    body = json.dumps({"conversation": chat["id"], "message": "Noon?"}).encode()
    site.ask(f"{prefix}/groupchat/send", token, body)
    poll.join(40)

    assert [each["text"] for each in polled[0]["messages"]] == ["Noon?"]
    assert time.monotonic() - began < 25


@pytest.mark.parametrize("prefix", ["", "/chat"])
def test_large_file_is_uploaded(site: Site, server: Server, prefix: str) -> None:
    lines = (
        json.dumps({"type": "user", "external_id": f"u-{n}", "name": "n" * 300})
        for n in range(LINES)
    )
    file = "\n".join(lines).encode()
    assert len(file) > 5 * 1024 * 1024

    answer = site.ask(
        f"{prefix}/import",
        server.service_key,
        file,
        {"Content-Type": "application/x-ndjson"},
    )

    assert answer["job"]["url"].endswith(f"/imports/{answer['job']['id']}")


@pytest.mark.parametrize("prefix", ["", "/chat"])
def test_metrics_are_not_shown_outside(site: Site, server: Server, prefix: str) -> None:
    with pytest.raises(HTTPError, match="404"):
        site.ask(f"{prefix}/metrics", server.service_key)


def test_plain_http_leads_to_tls(site: Site) -> None:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    opener = urllib.request.build_opener(Stay)
    with pytest.raises(HTTPError) as found:
        opener.open(f"http://127.0.0.1:{site.nginx.plain_port}/docs", timeout=30)

    assert found.value.code == 301
    assert found.value.headers["Location"] == "https://127.0.0.1/docs"


@pytest.mark.parametrize(("path", "prefix"), [("/x", None), ("/chat/x", "/chat")])
def test_what_the_client_claims_is_replaced(
    proxied: Any, path: str, prefix: str | None
) -> None:
    claimed = {
        "X-Forwarded-For": "198.51.100.7",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Host": "evil.example.org",
        "Forwarded": "for=198.51.100.7",
    }
    upstream = HTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    nginx, tls = proxied(upstream.server_address[1])
    with nginx.running():
        seen = dict(Site(nginx, tls).ask(path, headers=claimed))
    upstream.shutdown()
    upstream.server_close()

    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "https"
    assert seen["X-Forwarded-Host"] == "localhost"
    assert seen.get("X-Forwarded-Prefix") == prefix
    assert "Forwarded" not in seen
