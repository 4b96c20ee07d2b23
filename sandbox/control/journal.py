"""Accepted pushes on disk, so that they survive a killed sandbox."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from sandbox.control.push import Push


class InvalidJournal(Exception):
    """The file is not a journal."""


class Journal:
    """An append-only file of one JSON line per accepted push.

    It is written before the responses are sent, many pushes in one system call. The
    page cache keeps it when the process is killed; only a crash of the machine can
    lose its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def earlier(self) -> Iterator[Push]:
        """The pushes of earlier runs; to be called once, at the start."""
        valid_size = 0
        with self._path.open("rb") as file:
            for line in file:
                # A kill cut this line short, so its push never got a response.
                if not line.endswith(b"\n"):
                    break
                valid_size += len(line)
                yield self._read(line)
        os.ftruncate(self._file, valid_size)

    def _read(self, line: bytes) -> Push:
        try:
            # Lines of earlier versions end with the body.
            row, more = (found := json.loads(line))[:9], found[9:]
            seq, at, provider, environment, token, name, collapse, headers, body = row
            first = (int(seq), float(at), provider, environment, token, name, collapse)
            push = Push(*first, tuple(headers), body.encode())
            return push._replace(is_iphone=more == [True])
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidJournal(f"{self._path} is not a journal: {error}") from error

    def add(self, push: Push) -> None:
        body = push.body.decode("utf-8", "replace")
        self._lines.append(json.dumps([*push[:7], push.headers, body, push.is_iphone]))

    def write(self) -> None:
        """Write the pushes added so far."""
        if self._lines:
            self._lines.append("")
            content = "\n".join(self._lines).encode()
            self._lines.clear()
            while content:
                content = content[os.write(self._file, content) :]

    def clear(self) -> None:
        self._lines.clear()
        os.ftruncate(self._file, 0)
