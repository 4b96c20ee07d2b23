"""A child process that the demo starts, watches and stops."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from demo.choices import CannotRun

ROOT = Path(__file__).parents[1]
# Longer than the server waits for its running requests.
STOP_S = 15
TAIL_LINES = 15


class ChildProcess:
    """A Python program, of this checkout by default, in a session of its own.

    Ctrl-C therefore reaches only the demo, which stops its children in order.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        environ: Mapping[str, str],
        *,
        python: Path = Path(sys.executable),
        cwd: Path = ROOT,
    ) -> None:
        self._name = name
        self._log = log
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                [str(python), *arguments],
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raise CannotRun, with the end of the log, if it has ended."""
        status = self._process.poll()
        if status is not None:
            tail = self._log.read_text(errors="replace").splitlines()
            raise CannotRun(
                "\n  ".join(
                    [
                        f"The {self._name} ended with status {status}. "
                        f"The end of {self._log}:",
                        *tail[-TAIL_LINES:],
                    ]
                )
            )

    def stop(self) -> None:
        """Terminate it, and kill it if it does not end."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        # Its own children in its session are killed too.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
