"""The access log of our own host: a line for each request.

The thread that answers only leaves the facts. Another one makes the lines and writes
all that have come meanwhile with one call.
"""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.util import Finalize
from queue import Empty, SimpleQueue
from typing import NamedTuple

from bottlepost.logs.addresses import shown
from bottlepost.logs.lines import Format

LOGGER = "bottlepost.access"
# Lines of so long are written together; nobody waits for them.
COLLECT_S = 0.1
# Of the others, only the number is told: a reader of stderr may have stopped reading.
MOST = 20_000


class Access(NamedTuple):
    """A request that has been answered, or refused."""

    at: float
    method: str
    path: str
    query: str
    status: int
    size: int
    seconds: float
    client: str
    request_id: str


class AccessLog:
    """Takes the facts of a request from any thread; `add` costs a microsecond."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._found: SimpleQueue[Access] = SimpleQueue()
        self._dropped = 0
        self._writing = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._run, name="access-log", daemon=True).start()

    def add(self, found: Access) -> None:
        if self._found.qsize() < MOST:
            self._found.put(found)
        else:
            self._dropped += 1

    def flush(self) -> None:
        """Write what there is; for the end of the process."""
        with self._writing:
            self._write([])

    def _run(self) -> None:
        while True:
            first = self._found.get()
            time.sleep(COLLECT_S)
            with self._writing:
                self._write([first])

    def _write(self, found: list[Access]) -> None:
        with suppress(Empty):
            while True:
                found.append(self._found.get_nowait())
        lines = [self._line(each) for each in found]
        if self._dropped:
            # So many requests came while stderr took nothing.
            dropped, self._dropped = self._dropped, 0
            words = f"{dropped} requests have no line"
            lines.append(
                self._form.line(time.time(), "WARNING", LOGGER, words, request_id=None)
            )
        if lines:
            # Without a stderr that takes it, there is no place to complain.
            with suppress(OSError, ValueError):
                sys.stderr.write("\n".join(lines) + "\n")
                sys.stderr.flush()

    def _line(self, found: Access) -> str:
        path = shown(found.path, found.query)
        milliseconds = round(found.seconds * 1000, 1)
        fields = {
            "method": found.method,
            "path": path,
            "status": found.status,
            "bytes": found.size,
            "duration_ms": milliseconds,
            "client": found.client,
        }
        return self._form.line(
            found.at,
            "INFO",
            LOGGER,
            f"{found.method} {path} {found.status} {found.size} B {milliseconds} ms"
            f" {found.client}",
            request_id=found.request_id,
            fields=fields,
        )


def begin(form: Format) -> Callable[[Access], None]:
    """Begin an access log in this process; returns what takes each request."""
    access = AccessLog(form)
    access.start()
    # Unlike atexit's, it is also called in the processes of multiprocessing.
    Finalize(None, access.flush, exitpriority=1)
    return access.add
