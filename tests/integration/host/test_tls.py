"""The server answers over TLS if it has a certificate."""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.tls import AuthorityFiles, make_authority
from tests.support.wait import until


@pytest.fixture(scope="module")
def authority() -> AuthorityFiles:
    return make_authority()


@pytest.fixture(scope="module")
def server(
    authority: AuthorityFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    identity = authority.issue("localhost")
    environment = {
        "BOTTLEPOST_TLS_CERT_FILE": str(identity.certificate),
        "BOTTLEPOST_TLS_KEY_FILE": str(identity.key),
    }
    run_dir: Path = tmp_path_factory.mktemp("tls")
    with Server(run_dir, environment, wait=False) as server:
        until(lambda: "listens on https://" in server.log(), 60, what="for the server")
        yield server


def connect(server: Server, tls: ssl.SSLContext) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("localhost", server.port, context=tls)


def test_requests_and_long_answers_pass(
    server: Server, authority: AuthorityFiles
) -> None:
    tls = ssl.create_default_context(cafile=authority.ca_file)

    def asked() -> bytes | None:
        client = connect(server, tls)
        try:
            client.request("GET", "/openapi.json")
            return client.getresponse().read()
        except ConnectionError:
            return None
        finally:
            client.close()

    body = until(asked, 60, what="for an answer")

    assert json.loads(str(body, "utf-8"))["openapi"].startswith("3.")


def test_plain_http_gets_no_answer(server: Server) -> None:
    with socket.create_connection(("localhost", server.port), 10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert not plain.recv(100).startswith(b"HTTP/")
