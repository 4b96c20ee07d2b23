"""Child processes that answer each line with a line."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


class Child:
    """A test module that runs as a process; its first output line is "ready"."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )

    def send(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """Kill it at once, and wait for its end."""
        self._process.kill()
        self._process.communicate(timeout=30)

    def receive(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate(timeout=60)


@contextmanager
def running(
    count: int, arguments: Sequence[str], environ: Mapping[str, str] | None = None
) -> Iterator[list[Child]]:
    """Start `count` children and wait until all are ready."""
    children = [Child(arguments, environ or {}) for _ in range(count)]
    try:
        assert all([child.receive() == "ready" for child in children])
        yield children
    finally:
        for child in children:
            child.end()


def ask_all(children: Sequence[Child], line: str) -> set[str]:
    """Send a line to all children at the same time; returns their answers."""
    for child in children:
        child.send(line)
    return {child.receive() for child in children}
