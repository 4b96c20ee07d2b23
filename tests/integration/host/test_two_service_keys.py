"""The service key is rotated: while two are valid, no caller is turned away."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from models.unsubscribe import PATH, UnsubscribeTokens
from tests.support.client import Client
from tests.support.server import Server

OLD, NEW = "the-old-key-of-the-service", "the-new-key-of-the-service"
KEY, KEY_OLD = "BOTTLEPOST_SERVICE_KEY", "BOTTLEPOST_SERVICE_KEY_OLD"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    server = Server(tmp_path, {KEY: OLD})
    yield server
    server.stop()


def restart(server: Server, **environment: str) -> None:
    server.stop()
    server.environment.pop(KEY_OLD, None)
    server.environment.update(environment)
    server.start()


def sign_in(server: Server, key: str) -> str:
    """The cookie of an operator's session; empty if the key is refused."""
    form = urlencode({"service_key": key}).encode()
    answer = Client(server.url).request("POST", "/dashboard/login", form, FORM)
    return answer.headers.get("set-cookie", "").partition(";")[0]


def is_signed_in(server: Server, cookie: str) -> bool:
    page = Client(server.url).request("GET", "/dashboard", headers={"Cookie": cookie})
    return b'name="service_key"' not in page.body


def takes(server: Server, key: str) -> bool:
    return Client(server.url, key).get("/metrics").status == 200


def test_a_key_is_rotated_without_turning_anybody_away(server):
    user_id, _ = server.user("Ann")
    device = {"platform": "email", "token": "ann@example.org"}
    device_id = server.client.post(f"/users/{user_id}/devices", device).json["id"]
    link = PATH + UnsubscribeTokens.of_service_key(OLD).issue(device_id)
    session = sign_in(server, OLD)

    restart(server, **{KEY: NEW, KEY_OLD: OLD})

    assert takes(server, OLD)
    assert takes(server, NEW)
    assert not takes(server, NEW + "x")
    assert sign_in(server, OLD)
    assert is_signed_in(server, session)
    assert Client(server.url).get(link).status == 200
    session = sign_in(server, NEW)

    restart(server, **{KEY: NEW})

    assert takes(server, NEW)
    assert not takes(server, OLD)
    assert is_signed_in(server, session)
    assert not sign_in(server, OLD)
