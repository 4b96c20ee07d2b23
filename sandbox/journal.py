"""Accepted pushes on disk, for runs in which the sandbox is killed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from sandbox.push import Push


class JournalUnreadable(Exception):
    """The journal holds something else than pushes."""


class Journal:
    """An append-only file of one JSON line per accepted push.

    Written before the answers leave, by one system call for many: the page cache keeps
    it when the process is killed. Only a machine that dies can lose its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self._earlier = path.read_bytes() if path.exists() else b""
        # A line cut short by a kill was never answered: it did not happen.
        whole = self._earlier.rfind(b"\n") + 1
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(self._file, whole)
        self._earlier = self._earlier[:whole]

    def earlier(self) -> Iterator[Push]:
        """What earlier runs have accepted; to be read once, at the start."""
        for line in self._earlier.splitlines():
            try:
                *first, headers, body = json.loads(line)
                seq, at, provider, environment, token, name, mark = first
                yield Push(
                    seq,
                    at,
                    provider,
                    environment,
                    token,
                    name,
                    mark,
                    tuple(headers),
                    body.encode(),
                )
            except (ValueError, TypeError, AttributeError) as error:
                raise JournalUnreadable(f"{self._path}: {error}") from error
        self._earlier = b""

    def add(self, push: Push) -> None:
        body = push.body.decode("utf-8", "replace")
        self._lines.append(json.dumps([*push[:7], push.headers, body]))

    def write(self) -> None:
        """Everything added so far, before its answers leave."""
        if self._lines:
            self._lines.append("")
            content = "\n".join(self._lines).encode()
            self._lines.clear()
            while content:
                content = content[os.write(self._file, content) :]

    def clear(self) -> None:
        self._lines.clear()
        os.ftruncate(self._file, 0)
