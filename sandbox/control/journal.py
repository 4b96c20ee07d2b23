"""Accepted pushes on disk, for runs in which the sandbox is killed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from sandbox.control.push import Push


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
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def earlier(self) -> Iterator[Push]:
        """What earlier runs have accepted; to be read once, at the start."""
        whole = 0
        with self._path.open("rb") as file:
            for line in file:
                # A line cut short by a kill was never answered: it did not happen.
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                yield self._read(line)
        os.ftruncate(self._file, whole)

    def _read(self, line: bytes) -> Push:
        try:
            seq, at, provider, environment, token, name, mark, headers, body = (
                json.loads(line)
            )
            first = (int(seq), float(at), provider, environment, token, name, mark)
            return Push(*first, tuple(headers), body.encode())
        except (ValueError, TypeError, AttributeError) as error:
            raise JournalUnreadable(f"{self._path} is no journal: {error}") from error

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
