"""Generations of settings in a run directory: a newer one retires older engines.

The file `settings/generation` has the number and the fingerprint of the newest one. A
web worker that starts with another fingerprint raises the number, before its first
answer. An engine keeps the number of the worker that started it, and begins no job once
there is a higher one.
"""

import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from config import Settings, fingerprint, platform
from datastore.file_lock import LockFile

log = logging.getLogger(__name__)

# The lock is held while a small file is written. A process that holds it for longer
# hangs, and the others go on without the lock.
LOCK_S = 3.0
CHECK_S = 0.01
KEY_BYTES = 32
# Servers that the file remembers, the latest ones.
MAX_SERVERS = 16
_NEWEST = re.compile(r"([0-9]{1,18}) ([0-9a-f]{64})")
_SERVER = re.compile(r"([0-9]{1,18}) ([0-9a-f]{64}) ([0-9]+:[0-9]+)")
# In the names of sockets: those of slots, and those of web workers.
_NUMBER = re.compile(r"slot-[0-9]+-([0-9a-f]+)\.sock|([0-9a-f]+)-[0-9]+\.sock")


class Recorded(NamedTuple):
    """The content of the generation file: the newest generation, and who began any."""

    number: int
    fingerprint: str
    # A server (see `_server`) and the last generation that its workers have begun.
    servers: dict[str, tuple[int, str]]


class GenerationFile:
    """The newest generation of a run directory; a look costs a `stat`."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self.directory = run_dir / "settings"
        self._path = self.directory / "generation"
        self._seen: tuple[int, int, int] | None = None
        self._recorded: Recorded | None = None

    @property
    def exists(self) -> bool:
        """Whether it was there at the last look."""
        return self._seen is not None

    def look(self) -> Recorded | None:
        """The newest generation; None if there is no file, or none that can be read."""
        try:
            stat = os.stat(self._path)
            seen = stat.st_ino, stat.st_mtime_ns, stat.st_size
            if seen != self._seen:
                self._recorded = _parse(self._path.read_bytes())
                self._seen = seen
        except OSError:
            self._seen = self._recorded = None
        return self._recorded

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time, unless one hangs in this block."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = LockFile(self.directory / "lock")
        try:
            deadline = time.monotonic() + LOCK_S
            while not lock.try_lock():
                if time.monotonic() > deadline:
                    log.warning("a process hangs while it looks at the settings")
                    break
                time.sleep(CHECK_S)
            yield
        finally:
            lock.close()

    def key(self) -> bytes:
        """The key of the fingerprints; it is made once. Call it in `locked`."""
        path = self.directory / "fingerprint.key"
        with suppress(OSError, ValueError):
            key = bytes.fromhex(path.read_text().strip())
            if len(key) == KEY_BYTES and any(key):
                return key
        key = secrets.token_bytes(KEY_BYTES)
        _replace(path, f"{key.hex()}\n".encode())
        return key

    def next_number(self) -> int:
        """A number that is higher than all that are in use. Call it in `locked`."""
        recorded = self.look()
        known = [*self._numbers_in_use(), recorded.number if recorded else 0]
        # At least the time, because an engine may outlive its run directory.
        return max(max(known) + 1, int(time.time()))

    def write(self, number: int, digest: str, server: str) -> None:
        """Record the newest generation and one of its servers. Call it in `locked`."""
        recorded = self.look()
        servers = dict(recorded.servers) if recorded else {}
        servers.pop(server, None)
        servers[server] = number, digest
        lines = [f"{number} {digest}"]
        for name, (its_number, its_digest) in list(servers.items())[-MAX_SERVERS:]:
            lines.append(f"{its_number} {its_digest} {name}")
        _replace(self._path, "".join(f"{line}\n" for line in lines).encode())

    def _numbers_in_use(self) -> Iterator[int]:
        """The numbers in the names of sockets, if the file cannot be read."""
        for directory in (self.directory, self._run_dir / "push"):
            for path in directory.glob("*.sock"):
                if found := _NUMBER.fullmatch(path.name):
                    yield int(found[1] or found[2], 16)


class Membership:
    """The generation of a web worker. Safe to share between threads, and over a fork.

    Until `join` it has the number 0.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.file = GenerationFile(settings.run_dir)
        self.number = 0
        self.has_joined = False
        self._fingerprint = ""
        self._is_outdated = False
        # Now, while the files of the code are those that have been imported.
        fingerprint.code()

    def join(self) -> None:
        """Enter the newest generation, or begin one if our fingerprint is another."""
        self.has_joined = True
        try:
            with self.file.locked():
                self._fingerprint = fingerprint.of(self._settings, self.file.key())
                self._enter()
        except OSError as problem:
            self.number = int(time.time())
            log.error("running PushProcesses keep their settings: %s", problem)

    def take_back(self) -> None:
        """Begin a new generation with our old settings: the newer ones have gone."""
        with self.file.locked():
            if self.is_outdated:
                self._enter(anew=True)
                self._is_outdated = False
        log.warning(
            "no web server with the newer settings runs in %s any more; pushes have"
            " the settings of this one again",
            self._settings.run_dir,
        )

    @property
    def is_outdated(self) -> bool:
        """Whether a worker with other settings has begun a newer generation."""
        return self.newest_number > self.number

    @property
    def newest_number(self) -> int:
        """The number of the engines that our wake-ups go to."""
        recorded = self.file.look()
        if recorded is None or recorded.number <= self.number:
            return self.number
        if recorded.fingerprint == self._fingerprint:
            # Another worker with our settings has taken them back.
            self.number = recorded.number
            self._is_outdated = False
        elif not self._is_outdated:
            self._is_outdated = True
            log.warning(
                "a web server with other settings has started in %s; pushes have its"
                " settings from now on",
                self._settings.run_dir,
            )
        return recorded.number

    def _enter(self, *, anew: bool = False) -> None:
        recorded, server = self.file.look(), _server()
        before = recorded.servers.get(server) if recorded else None
        if recorded is not None and recorded.fingerprint == self._fingerprint:
            self.number = recorded.number
            if before == (self.number, self._fingerprint):
                return
        elif before is not None and before[1] == self._fingerprint and not anew:
            # A server that started later has other settings, and ours only replaces
            # one of its workers: they must not take turns.
            self.number = before[0]
            return
        else:
            self.number = self.file.next_number()
        self.file.write(self.number, self._fingerprint, server)


class Retirement:
    """Whether a newer generation than that of this engine has begun."""

    def __init__(self, run_dir: Path, number: int) -> None:
        self._file = GenerationFile(run_dir)
        self._number = number
        self._was_recorded = False

    def has_begun(self) -> bool:
        recorded = self._file.look()
        if recorded is not None:
            self._was_recorded = True
            return recorded.number > self._number
        # Without its run directory, nothing can reach this engine.
        return self._was_recorded and not self._file.exists


def describe(settings: Settings) -> str:
    """The settings of a worker process, for the line that it logs at its start."""
    file = GenerationFile(settings.run_dir)
    try:
        with file.locked():
            digest = fingerprint.of(settings, file.key())
    except OSError as problem:
        digest = f"({problem})"
    return f"settings {digest[: fingerprint.SHORT]}: {fingerprint.summary(settings)}"


def _parse(content: bytes) -> Recorded | None:
    try:
        newest, *lines = content.decode("ascii").splitlines()
    except ValueError:
        return None
    found = _NEWEST.fullmatch(newest)
    if found is None:
        return None
    servers = {
        each[3]: (int(each[1]), each[2])
        for each in map(_SERVER.fullmatch, lines)
        if each is not None
    }
    return Recorded(int(found[1]), found[2], servers)


def _server() -> str:
    """The process that has started this worker and would start another in its place.

    A process of pid 1 (or of another container's) replaces nothing: it starts servers.
    """
    parent = os.getppid()
    if parent <= 1:
        parent = os.getpid()
    return f"{parent}:{platform.started_at(parent)}"


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that each reader sees the old or the new one as a whole."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
