"""Child processes that answer lines with lines."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


class Child:
    """A module of the tests, run as a process; its first line says "ready"."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )

    def say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate(timeout=60)


@contextmanager
def running(
    count: int, arguments: Sequence[str], environ: Mapping[str, str] | None = None
) -> Iterator[list[Child]]:
    """So many children, all of them ready."""
    children = [Child(arguments, environ or {}) for _ in range(count)]
    try:
        assert all([child.hear() == "ready" for child in children])
        yield children
    finally:
        for child in children:
            child.end()


def ask_all(children: Sequence[Child], line: str) -> set[str]:
    """The answers to a line that all of them are given at the same time."""
    for child in children:
        child.say(line)
    return {child.hear() for child in children}
