"""Real HTTP/2 servers as processes on a free loopback port."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import tls, wait
from tests.support.paths import ROOT
from tests.support.server import free_port


@contextmanager
def granian() -> Iterator[str]:
    """Run granian with the echo application; yields its address."""
    port = free_port()
    identity = tls.server_identity()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--http", "2"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-log"]
    command += ["--ssl-certificate", str(identity.certificate)]
    command += ["--ssl-keyfile", str(identity.key), "tests.support.echo_app:app"]
    with _running(command, port):
        yield f"https://localhost:{port}"


@contextmanager
def nghttpd(directory: Path, *options: str) -> Iterator[str]:
    """Run nghttpd with the files of a directory; yields its address."""
    port = free_port()
    identity = tls.server_identity()
    command = ["nghttpd", "-a", "127.0.0.1", "-d", str(directory), *options, str(port)]
    with _running([*command, str(identity.key), str(identity.certificate)], port):
        yield f"https://localhost:{port}"


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait.until(lambda: _listens(port, process), what=f"for {command[0]}")
        yield
    finally:
        process.terminate()
        process.wait(60)


def _listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, f"{process.args} ended with {process.returncode}"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
