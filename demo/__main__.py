"""Starts the sandbox and the server, prepares the conversation, says what to try."""

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
from demo.child import Child
from demo.choices import CannotRun, Choices

START_S = 60.0
LOOK_S = 0.05


class Stopped(Exception):
    """Somebody pressed Ctrl-C or asked us to end."""


class Demo:
    """Everything that runs; leaving it as a context manager stops all of it."""

    def __init__(self, chosen: Choices) -> None:
        self._chosen = chosen
        self._stopped = False
        self._running = ExitStack()
        self._children: list[Child] = []

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *_: object) -> None:
        # The other way round than started: nobody loses what it still needs.
        self._running.close()

    def stop(self, *_: object) -> None:
        """Have `run` raise Stopped soon; a handler of signals."""
        self._stopped = True

    def run(self) -> None:
        """Until somebody stops it; raises Stopped then, and CannotRun if it fails."""
        sandbox = self._start_sandbox()
        environ = self._chosen.environment(sandbox["environment"])
        # The page must not show the people of an earlier run.
        told = page.file_in(self._chosen.run_dir)
        told.unlink(missing_ok=True)
        environ["BOTTLEPOST_DEMO_FILE"] = str(told)
        self._running.callback(push_processes.stop, self._chosen.run_dir)
        self._start("server", ["server.py"], environ)
        api = Api(self._chosen.server_url)
        self._wait(api.is_ready, f"The server is not ready after {START_S:.0f} s.")
        memory = self._chosen.run_dir / "demo.json"
        chat = conversation.prepare(api, self._chosen.service_key, memory)
        ca_file = environ["BOTTLEPOST_CA_FILE"]
        page.tell(self._chosen, chat, ca_file)
        print(words.welcome(self._chosen, chat, ca_file), flush=True)
        self._wait(lambda: False)

    def _start_sandbox(self) -> dict[str, Any]:
        directory = self._chosen.run_dir / "sandbox"
        ready = directory / "sandbox.json"
        ready.unlink(missing_ok=True)
        arguments = ["-m", "sandbox", "--run-dir", str(directory)]
        arguments += ["--port", str(self._chosen.sandbox_port)]
        # Where Apple's second gateway listens is told in the file.
        arguments += ["--development-port", "0"]
        self._start("sandbox", arguments, dict(os.environ))
        self._wait(ready.exists, f"The sandbox is not ready after {START_S:.0f} s.")
        told: dict[str, Any] = json.loads(ready.read_text())
        return told

    def _start(self, name: str, arguments: list[str], environ: dict[str, str]) -> None:
        log = self._chosen.run_dir / "log" / f"{name}.log"
        child = Child(name, arguments, log, environ)
        self._running.callback(child.stop)
        self._children.append(child)

    def _wait(self, done: Callable[[], bool], too_late: str | None = None) -> None:
        """Until it is done, while all children live; with no end if none is given."""
        started_at = time.monotonic()
        while not done():
            for child in self._children:
                child.check()
            if too_late and time.monotonic() - started_at > START_S:
                raise CannotRun(too_late)
            if self._stopped:
                raise Stopped
            time.sleep(LOOK_S)


def main() -> int:
    # There are no options, but there is a --help.
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
