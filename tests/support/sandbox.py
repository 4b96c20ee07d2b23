"""A real sandbox in a process of its own: start, request, stop, kill."""

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.paths import ROOT
from tests.support.server import free_port

START_TIMEOUT_S = 60.0


class Sandbox:
    """Apple and Google for one test; use `running`, or start and stop it yourself."""

    def __init__(
        self, run_dir: Path, *, token_update_s: float = 0, journal: Path | None = None
    ) -> None:
        """`token_update_s`: shortest time between two APNs tokens; 0: no limit.

        Only tests about the limit need Apple's 1200 seconds; others share a sandbox
        across databases, each with a token of its own.
        """
        self.run_dir = run_dir
        self._options = ["--token-update-s", str(token_update_s)]
        if journal is not None:
            self._options += ["--journal", str(journal)]
        self._process: subprocess.Popen[str] | None = None
        self.port = free_port()
        self.development_port = free_port()

    def start(self) -> "Sandbox":
        """Start it on its ports; it is ready when this returns."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        options = ["--run-dir", str(self.run_dir), "--port", str(self.port)]
        options += ["--development-port", str(self.development_port), *self._options]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", *options],
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C in the terminal is for the test run, not for the sandbox.
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._await_ready(self._process)
        described = json.loads((self.run_dir / "sandbox.json").read_text())
        self.port = described["port"]
        self.development_port = described["development_port"]
        self.url: str = described["url"]
        self.development_url: str = described["development_url"]
        self.environment: dict[str, str] = described["environment"]
        self.ca_file = Path(described["ca_file"])
        self.apns_cert_file = Path(described["apns_cert_file"])
        self.tls = ssl.create_default_context(cafile=self.ca_file)
        return self

    def inbox(self, **query: Any) -> list[dict[str, Any]]:
        """Accepted pushes in order of arrival; `token`, `since`, `all`, `wait` …"""
        found = self.ask("GET", "/inbox", query=query)
        assert isinstance(found, list)
        return found

    def empty_inbox(self) -> None:
        self.ask("DELETE", "/inbox")

    def summary(self, **query: Any) -> dict[str, Any]:
        return dict(self.ask("GET", "/inbox/summary", query=query))

    def stats(self) -> dict[str, int]:
        return dict(self.ask("GET", "/stats"))

    def control(self, **changes: Any) -> dict[str, Any]:
        """Change the rules, e.g. `latency_ms=80`; returns the rules then in force."""
        return dict(self.ask("POST", "/control", body=changes))

    def subscribe(self, *, at: str | None = None, **wanted: str) -> dict[str, Any]:
        """A browser's subscription: `manner`, `name`, `server_key`; `at`: an origin."""
        return dict(self.ask("POST", "/subscriptions", body=wanted, at=at))

    def reset(self) -> None:
        """Make rules, counts and inbox as they were at the start."""
        self.control(reset=True)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        at: str | None = None,
    ) -> Any:
        """Send one request to the console; returns its JSON."""
        target = f"{at or self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": "application/json"}
        request = urllib.request.Request(target, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60, context=self.tls) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def stop(self) -> int:
        """Send SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL; its ports refuse connections from now on."""
        self._end(signal.SIGKILL)

    def restart(self) -> "Sandbox":
        """Start it again on the same ports; stop it first if it runs."""
        self.stop()
        return self.start()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _end(self, number: int) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        if process.stdout is not None:
            process.stdout.close()
        return process.wait(timeout=60)

    def _await_ready(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        # Unlike select(), it accepts file descriptors above 1023.
        readable = connection.wait([process.stdout], START_TIMEOUT_S)
        line = process.stdout.readline() if readable else ""
        if not line:
            process.kill()
            code = process.wait()
            raise AssertionError(f"the sandbox did not start: exit code {code}")


@contextmanager
def running(run_dir: Path, **options: Any) -> Iterator[Sandbox]:
    """A sandbox that runs as long as the block."""
    sandbox = Sandbox(run_dir, **options)
    try:
        yield sandbox.start()
    finally:
        sandbox.kill()
