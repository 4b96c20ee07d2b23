"""The demo's choices from the environment: ports, run directory, service key."""

import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

# Not inherited, because the demo must never push to Apple or Google.
PROVIDERS = ("BOTTLEPOST_APNS_", "BOTTLEPOST_FCM_", "BOTTLEPOST_CA_FILE")

# In the run directory; created on the first run.
SERVICE_KEY_FILE = "service-key"
# The contact for browsers' push services, which require one.
CONTACT = "mailto:demo@bottlepost.example"
ALLOWED = "BOTTLEPOST_WEBPUSH_ALLOW"


class CannotRun(Exception):
    """The reason why the demo cannot run, in one line for the terminal."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Addresses, directory and key of a run."""

    host: str
    port: int
    sandbox_port: int
    run_dir: Path
    service_key: str

    @property
    def server_url(self) -> str:
        """The server's URL for clients on this machine."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{everywhere.get(self.host, host)}:{self.port}"

    @property
    def sandbox_url(self) -> str:
        return f"https://127.0.0.1:{self.sandbox_port}"

    def environment(self, of_sandbox: Mapping[str, str]) -> dict[str, str]:
        """The environment of the server."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(PROVIDERS)}
        inherited.pop("BOTTLEPOST_SERVICE_KEY_FILE", None)
        if "BOTTLEPOST_VAPID_SUBJECT_FILE" not in inherited:
            inherited.setdefault("BOTTLEPOST_VAPID_SUBJECT", CONTACT)
        allowed = (inherited.get(ALLOWED), of_sandbox[ALLOWED])
        return {
            **inherited,
            **of_sandbox,
            ALLOWED: ",".join(filter(None, allowed)),
            "BOTTLEPOST_HOST": self.host,
            "BOTTLEPOST_PORT": str(self.port),
            "BOTTLEPOST_RUN_DIR": str(self.run_dir),
            "BOTTLEPOST_SERVICE_KEY": self.service_key,
        }


def from_env() -> Choices:
    """The choices; raises CannotRun, for example if a port is not free."""
    host = os.environ.get("BOTTLEPOST_HOST") or "127.0.0.1"
    port = _port("BOTTLEPOST_PORT", 8080, host)
    sandbox_port = _port("BOTTLEPOST_SANDBOX_PORT", 8443, "127.0.0.1")
    if port == sandbox_port:
        raise CannotRun("BOTTLEPOST_PORT and BOTTLEPOST_SANDBOX_PORT are the same.")
    run_dir = Path(os.environ.get("BOTTLEPOST_RUN_DIR") or "var").resolve()
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        service_key = _service_key(run_dir)
    except OSError as problem:
        raise CannotRun(f"The run directory cannot be used: {problem}") from None
    return Choices(
        host=host,
        port=port,
        sandbox_port=sandbox_port,
        run_dir=run_dir,
        service_key=service_key,
    )


def _port(variable: str, default: int, host: str) -> int:
    value = os.environ.get(variable) or str(default)
    if not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise CannotRun(f"{variable} must be from 1 to 65535, not {value!r}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        # Connections of an earlier run that are still closing do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(value)))
        except OSError as problem:
            raise CannotRun(
                f"Port {value} on {host} cannot be used ({problem.strerror}). "
                f"Choose another one: {variable}={_another(int(value))} make run"
            ) from None
    return int(value)


def _another(port: int) -> int:
    return port + 1000 if port + 1000 <= 65535 else port - 1000


def _service_key(run_dir: Path) -> str:
    """The key that is set, or the one created on the first run."""
    if key := os.environ.get("BOTTLEPOST_SERVICE_KEY"):
        return key
    if path := os.environ.get("BOTTLEPOST_SERVICE_KEY_FILE"):
        return Path(path).read_text().strip()
    kept = run_dir / SERVICE_KEY_FILE
    if not kept.exists():
        write_secret(kept, secrets.token_urlsafe(32) + "\n")
    return kept.read_text().strip()


def write_secret(path: Path, text: str) -> None:
    """Write a file atomically that only its owner may read."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
