"""The demo process, `python -m demo`, and a client for it."""

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from tests.support.client import Client
from tests.support.server import INHERITED, ROOT, free_port
from tests.support.wait import until


class Demo:
    """A demo on free ports; its output goes to a file."""

    def __init__(self, run_dir: Path, **settings: str) -> None:
        self.run_dir = run_dir
        self._output = run_dir.with_suffix(".out")
        inherited = {k: os.environ[k] for k in INHERITED if k in os.environ}
        self.settings = {
            "BOTTLEPOST_PORT": str(free_port()),
            "BOTTLEPOST_SANDBOX_PORT": str(free_port()),
            **settings,
        }
        run = {"BOTTLEPOST_RUN_DIR": str(run_dir)}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "demo"],
                cwd=ROOT,
                env={**inherited, **self.settings, **run},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def printed(self) -> str:
        return self._output.read_text()

    def commands(self) -> list[str]:
        """The three curl commands, once they are printed."""

        def look() -> list[str]:
            assert self._process.poll() is None, self.printed
            lines = self.printed.splitlines()
            return [line for line in lines if line.startswith("curl ")]

        return until(lambda: len(look()) == 3 and look(), 120, "for the demo to start")

    def wait(self) -> int:
        return self._process.wait(90)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def processes(self) -> list[int]:
        """All processes that were started with this run directory."""
        mark = f"BOTTLEPOST_RUN_DIR={self.run_dir}\0".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes():
                    found.append(int(environ.parent.name))
            except OSError:
                # It has ended meanwhile, or belongs to another user.
                continue
        return found


class RunningDemo:
    """A client of a running demo, with the data of its page."""

    def __init__(self, demo: Demo) -> None:
        demo.commands()
        self.url = f"http://127.0.0.1:{demo.settings['BOTTLEPOST_PORT']}"
        self.service_key = (demo.run_dir / "service-key").read_text().strip()
        self.service = Client(self.url, self.service_key)
        self._page = json.loads((demo.run_dir / "demo-page.json").read_text())
        self.chat = self._page["conversation"]["id"]
        self.people = {
            person["name"]: Client(self.url, person["token"])
            for person in self._page["people"]
        }
        self.tokens = {d["model"]: d["token"] for d in self._page["devices"]}

    @contextmanager
    def answering(self, **answers: str) -> Iterator[None]:
        """Within the block, providers answer this for devices, by model."""
        by_token = {self.tokens[model]: name for model, name in answers.items()}
        self._control({"answers": by_token})
        try:
            yield
        finally:
            self._control({"answers": dict.fromkeys(by_token)})

    def subscribe(self) -> str:
        """The subscription of a new browser at the sandbox, as JSON."""
        key = self.people["Ada"].get("/webpush/key").json["public_key"]
        wanted = {"manner": "mozilla", "server_key": key}
        made = self._ask_sandbox("/subscriptions", wanted)
        return json.dumps(made, separators=(",", ":"))

    def payloads(self, token: str) -> list[dict[str, Any]]:
        """What the sandbox has accepted for a device, in order."""
        query = urlencode({"token": token})
        return [push["payload"] for push in self._ask_sandbox(f"/inbox?{query}")]

    def say(self, text: str) -> dict[str, Any]:
        """Post a message as Ada; returns its job once it has ended."""
        ada = self.people["Ada"]
        body = {"conversation": self.chat, "message": text}
        address = ada.post("/groupchat/send", body).json["job"]["url"]

        def look() -> Any:
            job = ada.get(address).json
            return job["state"] in ("completed", "failed") and job

        return until(look, what="for the job's end")

    def _control(self, rules: dict[str, Any]) -> None:
        self._ask_sandbox("/control", rules)

    def _ask_sandbox(self, path: str, body: Any = None) -> Any:
        context = ssl.create_default_context(cafile=self._page["ca_file"])
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        url = self._page["inbox"].removesuffix("/inbox") + path
        content = None if body is None else json.dumps(body).encode()
        request = Request(url, content, {"Content-Type": "application/json"})
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)
