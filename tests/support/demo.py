"""`python -m demo`, as `make run` starts it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.server import INHERITED, ROOT, free_port
from tests.support.wait import until


class Demo:
    """A demo on ports of its own; what it prints goes to a file."""

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
        """The three curl lines, as soon as they are printed."""

        def look() -> list[str]:
            assert self._process.poll() is None, self.printed
            lines = self.printed.splitlines()
            return [line for line in lines if line.startswith("curl ")]

        return until(lambda: len(look()) == 3 and look(), 60, "for the demo to be up")

    def wait(self) -> int:
        return self._process.wait(30)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def processes(self) -> list[int]:
        """Every living process that was started with this run directory."""
        mark = f"BOTTLEPOST_RUN_DIR={self.run_dir}\0".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes():
                    found.append(int(environ.parent.name))
            except OSError:
                # Ended meanwhile, or somebody else's.
                continue
        return found
