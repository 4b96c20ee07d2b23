"""`python -m sandbox`: the push services of phones and browsers on this computer."""

import asyncio
import json
import shlex
import signal
import socket
import sys
from pathlib import Path

import click

from sandbox import keys
from sandbox.control.journal import InvalidJournal, Journal
from sandbox.control.rules import Rules
from sandbox.keys import InvalidKeys, Keys
from sandbox.state import Sandbox
from sandbox.wire import serving
from sandbox.wire.serving import PortTaken

# At shutdown we wait up to 300 ms for the GOAWAY frames to be sent.
SHUTDOWN_POLLS = 30
SHUTDOWN_POLL_S = 0.01
PORT = click.IntRange(0, 65535)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--run-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/sandbox"),
    show_default=True,
    help="The directory of keys, certificates and sandbox.json.",
)
@click.option(
    "--port",
    type=PORT,
    default=8443,
    show_default=True,
    envvar="BOTTLEPOST_SANDBOX_PORT",
    show_envvar=True,
    help="The port of the production gateways; 0 takes a free one.",
)
@click.option(
    "--development-port",
    type=PORT,
    help="The port of Apple's development environment; by default the next one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on.",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of accepted pushes that survives a killed sandbox.",
)
@click.option(
    "--token-update-s",
    type=click.FloatRange(min=0),
    default=Rules.apns_token_update_s,
    show_default=True,
    help="The shortest time between two APNs provider tokens; 0 accepts all.",
)
def main(
    *,
    run_dir: Path,
    port: int,
    development_port: int | None,
    host: str,
    journal: Path | None,
    token_update_s: float,
) -> None:
    """Run the push services of phones and browsers here, for tests and demos."""
    if development_port is None:
        development_port = port + 1 if 0 < port < 65535 else 0
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        sockets = (serving.bind(host, port), serving.bind(host, development_port))
        provided = keys.provide(run_dir.resolve(), host)
        sandbox = Sandbox(
            provided,
            {"apns_token_update_s": token_update_s},
            Journal(journal) if journal else None,
        )
    except (PortTaken, InvalidKeys, InvalidJournal, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        sys.exit(1)
    asyncio.run(_serve(sandbox, provided, host, sockets))


async def _serve(
    sandbox: Sandbox, provided: Keys, host: str, sockets: tuple[socket.socket, ...]
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tls = serving.tls_context(provided)
    environments = ("production", "development")
    servers = [
        await serving.listen(sandbox, environment, listening, tls)
        for environment, listening in zip(environments, sockets, strict=True)
    ]
    ports = [listening.getsockname()[1] for listening in sockets]
    _announce(sandbox, provided, host, ports)
    await stop.wait()
    for server in servers:
        server.close()
    for connection in tuple(sandbox.counters.open):
        connection.shut_down()
    for _ in range(SHUTDOWN_POLLS):
        if not sandbox.counters.open:
            break
        await asyncio.sleep(SHUTDOWN_POLL_S)


def _announce(sandbox: Sandbox, provided: Keys, host: str, ports: list[int]) -> None:
    """Write the addresses: sandbox.json for programs, sandbox.env for shells."""
    name = f"[{host}]" if ":" in host else host
    url, development_url = (f"https://{name}:{port}" for port in ports)
    keys.point_account_at(provided, f"{url}/token")
    sandbox.access_tokens.endpoint = f"{url}/token"
    environment = {
        "BOTTLEPOST_APNS_URL": url,
        "BOTTLEPOST_APNS_SANDBOX_URL": development_url,
        "BOTTLEPOST_APNS_KEY_FILE": str(provided.apns_key_file),
        "BOTTLEPOST_APNS_KEY_ID": keys.KEY_ID,
        "BOTTLEPOST_APNS_TEAM_ID": keys.TEAM_ID,
        "BOTTLEPOST_APNS_TOPIC": keys.TOPIC,
        "BOTTLEPOST_FCM_URL": url,
        "BOTTLEPOST_FCM_CREDENTIALS_FILE": str(provided.account_file),
        # BOTTLEPOST_VAPID_SUBJECT, which turns web push on, is left to the user.
        "BOTTLEPOST_WEBPUSH_ALLOW": f"{name}:{ports[0]},localhost:{ports[0]}",
        "BOTTLEPOST_CA_FILE": str(provided.ca_file),
    }
    description = {
        "url": url,
        "development_url": development_url,
        "port": ports[0],
        "development_port": ports[1],
        "ca_file": str(provided.ca_file),
        "apns_cert_file": str(provided.apns_cert_file),
        "environment": environment,
    }
    directory = provided.ca_file.parent
    exports = "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()
    )
    keys.write_private(directory / "sandbox.env", exports.encode())
    keys.write_private(
        directory / "sandbox.json", json.dumps(description, indent=2).encode()
    )
    print(f"sandbox: {url} (development {development_url}), inbox {url}/inbox")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
