"""`bottlepost healthcheck` tells whether the server of a host is ready."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import config
from notifier.process.slots import worker_slots
from tests.support.paths import ROOT
from tests.support.server import Server, free_port


def check(
    environment: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bottlepost", "healthcheck", *arguments],
        env=dict(environment),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(
        tmp_path_factory.mktemp("health"), {"BOTTLEPOST_HOST": "0.0.0.0"}
    ) as server:
        yield server


def test_server_on_all_addresses_is_ready(server: Server) -> None:
    found = check(server.environment)

    assert (found.returncode, found.stderr) == (0, "")


def test_server_that_does_not_run_is_told(server: Server) -> None:
    found = check(server.environment | {"BOTTLEPOST_PORT": str(free_port())})

    assert found.returncode == 1
    assert "the server does not answer" in found.stderr


def test_server_that_speaks_no_tls_is_told(server: Server, tmp_path: Path) -> None:
    from tests.support.tls import make_authority

    identity = make_authority().issue("localhost")
    files = {
        "BOTTLEPOST_TLS_CERT_FILE": str(identity.certificate),
        "BOTTLEPOST_TLS_KEY_FILE": str(identity.key),
    }

    found = check(server.environment | files)

    assert found.returncode == 1
    assert "the server does not answer" in found.stderr


def test_worker_is_found_by_its_socket(server: Server) -> None:
    before = check(server.environment, "worker")
    slots = worker_slots(config.from_env(_settings(server)))
    slot = slots.take()
    assert slot is not None
    slot.open_socket()

    after = check(server.environment, "worker")

    slot.release()
    slots.close()
    assert before.returncode == 1
    assert "no worker runs" in before.stderr
    assert (after.returncode, after.stderr) == (0, "")


def _settings(server: Server) -> dict[str, str]:
    ours = server.environment.items()
    return {name: value for name, value in ours if name.startswith("BOTTLEPOST_")}
