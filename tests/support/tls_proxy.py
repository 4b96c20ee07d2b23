"""Proxies in front of a server: they end TLS, and put it under a path.

One is a few lines of ours, and the other one is nginx with the block of the docs.
"""

import getpass
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.server import free_port
from tests.support.tls import Identity
from tests.support.wait import until

PREFIX = "/chat"
# "start" starts one; without it, tests with the mark are not run.
NGINX_VARIABLE = "TEST_NGINX"
# A distribution has it where ordinary users do not look.
PATHS = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}
CONFIGURATION = """\
daemon off;
user {user};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
{location}
    }}
}}
"""


class _Handler(BaseHTTPRequestHandler):
    """Passes requests on, with the headers that the docs want from a proxy."""

    protocol_version = "HTTP/1.1"
    upstream: int
    strips: bool

    def _pass_on(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        if not f"{self.path}/".startswith(f"{PREFIX}/"):
            self.send_error(404)
            return
        path = self.path.removeprefix(PREFIX) if self.strips else self.path
        told = {
            "X-Forwarded-For": self.client_address[0],
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": self.headers["Host"],
            "X-Forwarded-Prefix": PREFIX,
        }
        sent = {**dict(self.headers.items()), **told, "Host": "upstream"}
        connection = HTTPConnection("127.0.0.1", self.upstream, timeout=120)
        try:
            connection.request(self.command, path or "/", body, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on
    do_OPTIONS = _pass_on

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def own(upstream: int, identity: Identity, *, strips: bool = True) -> Iterator[str]:
    """Our proxy in front of a port; yields its URL with the prefix."""
    handler = type("Handler", (_Handler,), {"upstream": upstream, "strips": strips})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    # The handshake is for the thread of the connection, so that none holds up others.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}{PREFIX}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def nginx_program() -> str | None:
    return shutil.which("nginx", path=PATHS)


@contextmanager
def nginx(upstream: int, identity: Identity, directory: Path) -> Iterator[str]:
    """Nginx with the block of docs/configuration.md; yields its URL with the prefix."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    found = re.search(r"```nginx\n(.*?)```", page, re.DOTALL)
    assert found is not None
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            directory=directory,
            # Started by root, its workers would be another user without our files.
            user=getpass.getuser(),
            port=port,
            certificate=identity.certificate,
            key=identity.key,
            location=found[1].replace("127.0.0.1:8080", f"127.0.0.1:{upstream}"),
        )
    )
    program = nginx_program()
    assert program is not None
    log = directory / "nginx.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [program, "-p", str(directory), "-c", str(configuration)],
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: (directory / "nginx.pid").exists() or _ended(process, log))
        yield f"https://127.0.0.1:{port}{PREFIX}"
    finally:
        process.terminate()
        process.wait(60)


def _ended(process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return False
