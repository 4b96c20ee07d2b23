"""Limits by address, behind a trusted proxy and without one, under three hosts."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datastore import Datastore, migrations
from tests.support import push_processes
from tests.support.client import Client, Reply
from tests.support.dispatcher_host import GUNICORN, UWSGI
from tests.support.matrix import some_of
from tests.support.server import Server

HOSTS = {
    "own": f"{sys.executable} server.py",
    "gunicorn": GUNICORN,
    "uwsgi": UWSGI,
}
ENDPOINTS = ("/users?external_id=x", "/metrics", "/jobs/1", "/groupchat")
GUESSES = 30


@pytest.fixture(scope="module", params=some_of(HOSTS, ["own", "uwsgi"]))
def behind_a_proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp(request.param)
    with _started(directory, HOSTS[request.param], "127.0.0.1") as started:
        yield started
        push_processes.end_all(directory)


def _started(directory: Path, command: str, proxies: str) -> Server:
    store = Datastore(f"sqlite:///{directory}/bottlepost.db")
    migrations.upgrade(store)
    store.close()
    environment = {"BOTTLEPOST_TRUSTED_PROXIES": proxies}
    return Server(directory, environment, command.split())


def ask(server: Server, path: str, key: str, **headers: str) -> Reply:
    """A request with this key, as a proxy passes it on."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(server.url, key).request("GET", path, headers=sent)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded"])
def test_guessing_the_service_key_locks_only_the_guesser_out(
    behind_a_proxy: Server, endpoint: str, header: str
) -> None:
    server = behind_a_proxy
    # An address of its own for each test, behind what the client invents itself.
    number = ENDPOINTS.index(endpoint) + 10 * len(header)
    guesser, operator = f"198.51.100.{number}", f"203.0.113.{number}"
    form = "for={}" if header == "Forwarded" else "{}"

    def as_seen(address: str) -> dict[str, str]:
        return {header: ", ".join(form.format(a) for a in ("192.0.2.1", address))}

    told = [
        ask(server, endpoint, f"guess {n}", **as_seen(guesser)) for n in range(GUESSES)
    ]

    assert {reply.status for reply in told} == {401, 429}
    assert int(told[-1].headers["retry-after"]) >= 1
    locked = ask(server, "/metrics", server.service_key, **as_seen(guesser))
    assert locked.status == 429
    assert (
        ask(server, "/metrics", server.service_key, **as_seen(operator)).status == 200
    )
    # The form counts with the rest.
    form_of = {"Content-Type": "application/x-www-form-urlencoded"}
    tried = Client(server.url).request(
        "POST",
        "/dashboard/login",
        f"service_key={server.service_key}".encode(),
        {**form_of, header.replace("_", "-"): as_seen(guesser)[header]},
    )
    assert tried.status == 429


def test_users_at_the_address_of_a_guesser_go_on(behind_a_proxy: Server) -> None:
    server = behind_a_proxy
    shared = {"X_Forwarded_For": "198.51.100.200"}
    _, ann = server.user("Ann")
    for n in range(GUESSES):
        ask(server, "/metrics", f"guess {n}", **shared)

    assert ask(server, "/devices", ann.token or "", **shared).status == 200
    assert ask(server, "/metrics", server.service_key, **shared).status == 429


@pytest.mark.parametrize("proxies", ["", "127.0.0.2"])
def test_a_stranger_cannot_lend_its_guesses_to_others(
    tmp_path: Path, proxies: str
) -> None:
    with _started(tmp_path, HOSTS["own"], proxies) as server:
        told = [
            ask(server, "/metrics", f"guess {n}", X_Forwarded_For=f"198.51.100.{n}")
            for n in range(GUESSES)
        ]

        assert told[-1].status == 429


def test_a_wrong_value_stops_the_start(tmp_path: Path) -> None:
    environment = {"BOTTLEPOST_TRUSTED_PROXIES": "proxy.example.org"}
    server = Server(tmp_path, environment, wait=False)

    assert server.process.wait(60) == 2
    told = server.log().strip().splitlines()
    assert len(told) == 1
    assert "BOTTLEPOST_TRUSTED_PROXIES" in told[0]
    assert "10.0.0.0/8" in told[0]
