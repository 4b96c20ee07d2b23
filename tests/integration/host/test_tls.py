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
def tls(authority: AuthorityFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.ca_file)


@pytest.fixture(scope="module")
def server(
    authority: AuthorityFiles,
    tls: ssl.SSLContext,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    identity = authority.issue("localhost")
    environment = {
        "BOTTLEPOST_TLS_CERT_FILE": str(identity.certificate),
        "BOTTLEPOST_TLS_KEY_FILE": str(identity.key),
    }
    run_dir: Path = tmp_path_factory.mktemp("tls")
    with Server(run_dir, environment, wait=False) as server:
        until(lambda: ask(server, tls, "/readyz"), 60, what="for the server")
        yield server


def ask(server: Server, tls: ssl.SSLContext, path: str) -> bytes | None:
    """The body of an answer; None while the server does not listen."""
    client = http.client.HTTPSConnection("localhost", server.port, context=tls)
    try:
        client.request("GET", path)
        return client.getresponse().read()
    except ConnectionError:
        return None
    finally:
        client.close()


def test_requests_and_long_answers_pass(server: Server, tls: ssl.SSLContext) -> None:
    body = ask(server, tls, "/openapi.json")

    assert body is not None
    assert json.loads(body)["openapi"].startswith("3.")
    assert "listens on https://" in server.log()


def test_plain_http_gets_no_answer(server: Server) -> None:
    with socket.create_connection(("localhost", server.port), 10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert not plain.recv(100).startswith(b"HTTP/")
