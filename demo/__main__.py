"""Starts the sandbox and the server, and prints what to try."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from demo import choices, conversation, page, push_processes, words
from demo.api import Api
from demo.child import ChildProcess
from demo.choices import CannotRun, Choices

START_S = 60.0
POLL_S = 0.05


class Stopped(Exception):
    """The demo was stopped by Ctrl-C or another signal."""


class Demo:
    """All processes of the demo; the end of its context stops them."""

    def __init__(self, chosen: Choices) -> None:
        self._chosen = chosen
        self._stopped = False
        self._running = ExitStack()
        self._children: list[ChildProcess] = []

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *_: object) -> None:
        # In reverse order, so that no process loses another one that it needs.
        self._running.close()

    def stop(self, *_: object) -> None:
        """Make `run` raise Stopped soon; a signal handler."""
        self._stopped = True

    def run(self) -> None:
        """Run until `stop`, which raises Stopped; raises CannotRun for a failure."""
        sandbox = self._start_sandbox()
        environ = self._chosen.environment(sandbox["environment"])
        # The page must not show the people of an earlier run.
        page_file = page.file_in(self._chosen.run_dir)
        page_file.unlink(missing_ok=True)
        environ["BOTTLEPOST_DEMO_FILE"] = str(page_file)
        # The page asks for news all the time, and nobody rotates this log.
        environ.setdefault("BOTTLEPOST_ACCESS_LOG", "off")
        self._running.callback(push_processes.stop, self._chosen.run_dir)
        self._start("server", ["server.py"], environ)
        api = Api(self._chosen.server_url)
        self._wait(api.is_ready, f"The server is not ready after {START_S:.0f} s.")
        memory = self._chosen.run_dir / "demo.json"
        chat = conversation.prepare(api, self._chosen.service_key, memory)
        ca_file = environ["BOTTLEPOST_CA_FILE"]
        page.write(self._chosen, chat, ca_file)
        print(words.welcome(self._chosen, chat, ca_file), flush=True)
        self._wait(lambda: False)

    def _start_sandbox(self) -> dict[str, Any]:
        directory = self._chosen.run_dir / "sandbox"
        ready = directory / "sandbox.json"
        ready.unlink(missing_ok=True)
        arguments = ["-m", "sandbox", "--run-dir", str(directory)]
        arguments += ["--port", str(self._chosen.sandbox_port)]
        # The sandbox's file names the port of Apple's second gateway.
        arguments += ["--development-port", "0"]
        self._start("sandbox", arguments, dict(os.environ))
        self._wait(ready.exists, f"The sandbox is not ready after {START_S:.0f} s.")
        started: dict[str, Any] = json.loads(ready.read_text())
        return started

    def _start(self, name: str, arguments: list[str], environ: dict[str, str]) -> None:
        log = self._chosen.run_dir / "log" / f"{name}.log"
        child = ChildProcess(name, arguments, log, environ)
        self._running.callback(child.stop)
        self._children.append(child)

    def _wait(self, done: Callable[[], bool], too_late: str | None = None) -> None:
        """Wait until it is done; raises CannotRun if a child ends or it is too late."""
        started_at = time.monotonic()
        while not done():
            for child in self._children:
                child.check()
            if too_late and time.monotonic() - started_at > START_S:
                raise CannotRun(too_late)
            if self._stopped:
                raise Stopped
            time.sleep(POLL_S)


def main() -> int:
    # The children write tokens, keys and messages.
    os.umask(0o077)
    # There are no options but --help.
    argparse.ArgumentParser(prog="python -m demo", description=__doc__).parse_args()
    try:
        with Demo(choices.from_env()) as demo:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, demo.stop)
            print("Starting the sandbox and the server ...", flush=True)
            demo.run()
    except CannotRun as problem:
        print(problem, file=sys.stderr)
        return 1
    except Stopped:
        print("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
