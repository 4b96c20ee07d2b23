"""`bottlepost healthcheck`, for containers and service managers."""

import http.client
import ssl

import click

import config
from bottlepost.printed import fail
from config import Settings
from notifier.process.slots import worker_slots

TIMEOUT_S = 4.0
# Addresses to listen on that stand for all addresses of the host.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here


@click.command("healthcheck")
@click.argument("what", type=click.Choice(["server", "worker"]), default="server")
def command(*, what: str) -> None:
    """Check that the server of this host is ready, or that a worker of it runs.

    It exits with 0 or 1. A worker is one of `bottlepost worker`.
    """
    settings = config.from_env()
    if what == "server":
        _check_server(settings)
    else:
        _check_worker(settings)


def _check_server(settings: Settings) -> None:
    connection = _connection(settings)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except OSError as problem:
        fail(f"the server does not answer: {problem}")
    except http.client.HTTPException as problem:
        fail(f"what answers is not the server: {problem!r}")
    finally:
        connection.close()
    if answer.status != 200:
        fail(f"the server is not ready: {body.decode(errors='replace')}")


def _connection(settings: Settings) -> http.client.HTTPConnection:
    host = LOOPBACK.get(settings.host, settings.host)
    if settings.tls_cert_file is None:
        return http.client.HTTPConnection(host, settings.port, timeout=TIMEOUT_S)
    # The certificate names the public host, and this is a loopback address.
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(
        host, settings.port, timeout=TIMEOUT_S, context=tls
    )


def _check_worker(settings: Settings) -> None:
    slots = worker_slots(settings)
    try:
        running = slots.count_listeners()
    finally:
        slots.close()
    if not running:
        fail(f"no worker runs with the run directory {settings.run_dir}")
