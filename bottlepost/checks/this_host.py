"""The host: the run directory, its files and sockets, space and limits."""

import os
import resource
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url

from bottlepost.checks import Finding, ok, warning, wrong
from config import Settings, SettingsError, platform, run_directory
from notifier.process.slots import Slots

LITTLE_MB, TOO_LITTLE_MB = 1000, 100
# A connection is a file, and our own host takes 4,096 of them.
WANTED_FILES = 4096 + 128
# File systems over a network, on which locks and the WAL of SQLite do not hold.
REMOTE = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "ceph", "glusterfs", "afs")
MOUNTS = platform.PROCESSES / "mounts"


def check(settings: Settings) -> Iterator[Finding]:
    yield from _run_directory(settings.run_dir)
    yield from _sockets(settings)
    for path in _places(settings):
        yield _space(path)
        if kind := _remote(path):
            yield wrong("disk", f"{path} is on {kind}", "choose a local disk")
    yield _files()


def _places(settings: Settings) -> list[Path]:
    """The run directory, and that of SQLite's file if it is on another disk."""
    found = [settings.run_dir]
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        place = Path(url.database).absolute().parent
        if place.is_dir() and place.stat().st_dev != settings.run_dir.stat().st_dev:
            found.append(place)
    return found


def _run_directory(run_dir: Path) -> Iterator[Finding]:
    told = run_directory.warning(run_dir)
    if told is not None:
        problem, _, remedy = told.partition(": ")
        yield warning("run directory", problem, remedy)
    else:
        yield ok("run directory", f"{run_dir} is for its owner only")
    open_ones = [path for path in run_directory.ours(run_dir) if _is_open(path)]
    for path in open_ones:
        yield warning(
            "file modes", f"{path} may be read by other users", f"run chmod go= {path}"
        )
    for path in run_directory.ours(run_dir):
        if not path.is_symlink() and path.lstat().st_uid != os.geteuid():
            yield wrong(
                "file modes",
                f"{path} belongs to uid {path.lstat().st_uid}",
                "run all commands, servers and workers as one user",
            )


def _is_open(path: Path) -> bool:
    found = path.lstat()
    return not stat.S_ISLNK(found.st_mode) and bool(
        found.st_mode & run_directory.OTHERS
    )


def _sockets(settings: Settings) -> Iterator[Finding]:
    try:
        slots = Slots(settings.run_dir, max(settings.push_slots, 1))
    except SettingsError as problem:
        yield wrong("sockets", str(problem), "choose a shorter path")
        return
    try:
        listening = slots.count_listeners()
    finally:
        slots.close()
    if settings.dispatcher == "process":
        yield ok("sockets", f"push processes that listen: {listening}")


def _space(path: Path) -> Finding:
    free_mb = shutil.disk_usage(path).free >> 20
    text = f"{path} has {free_mb:,} MB free"
    if free_mb < TOO_LITTLE_MB:
        return wrong("disk", text, "free some: no message can be saved on a full disk")
    if free_mb < LITTLE_MB:
        return warning("disk", text, "free some, or prune old messages and jobs")
    return ok("disk", text)


def _remote(path: Path) -> str | None:
    """The file system, if it is one over a network; None where that is not told."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return None
    mounts = [line.split(" ")[1:3] for line in lines]
    around = [
        (len(place), kind) for place, kind in mounts if path.is_relative_to(place)
    ]
    kind = max(around, default=(0, ""))[1]
    return kind if kind.startswith(REMOTE) else None


def _files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < WANTED_FILES:
        return warning(
            "file limit",
            f"a process may open {hard} files",
            f"set ulimit -n {WANTED_FILES}, or LimitNOFILE={WANTED_FILES} of systemd",
        )
    shown = "any number of" if hard == resource.RLIM_INFINITY else hard
    return ok("file limit", f"a process may open {shown} files")
