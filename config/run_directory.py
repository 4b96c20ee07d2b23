"""Keeps the run directory's files from other users of the machine.

They hold messages, tokens and keys. All processes of a host run as one user, so nobody
else needs them.
"""

import os
import shlex
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077
# Our files and directories; older versions created some of them with looser modes. What
# else is in the run directory is not ours.
FILES = (
    "bottlepost.db*",
    "demo*.json",
    "manager.log",
    "manager.log.1",
    "manager.pid",
    "script.log",
    "script.log.1",
    "service-key",
    "vapid.pem",
)
DIRECTORIES = ("log", "pool", "push", "sandbox", "settings", "workers")


def keep_private() -> None:
    """Have this process and its children create no file that others can open.

    For a process of our own; a host's may have other files to create.
    """
    os.umask(OTHERS)


def tighten(run_dir: Path) -> None:
    """Take our existing files away from others."""
    for path in ours(run_dir):
        with suppress(OSError):
            # Another process may remove it meanwhile, and links lead elsewhere.
            found = path.lstat()
            is_link = stat.S_ISLNK(found.st_mode)
            if found.st_mode & OTHERS and found.st_uid == os.geteuid() and not is_link:
                path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)


def ours(run_dir: Path) -> Iterable[Path]:
    """Our files and directories that are there."""
    for pattern in FILES:
        yield from run_dir.glob(pattern)
    for name in DIRECTORIES:
        directory = run_dir / name
        if directory.is_dir() and not directory.is_symlink():
            yield directory
            yield from directory.iterdir()


def warning(run_dir: Path) -> str | None:
    """What is wrong with the directory itself, and what helps; None if it is private.

    Whoever may write there can replace our files, whatever their modes are.
    """
    found = run_dir.stat()
    name = shlex.quote(str(run_dir))
    if found.st_uid != os.geteuid():
        return (
            f"BOTTLEPOST_RUN_DIR {name} belongs to another user (uid {found.st_uid}): "
            f"run chown {os.geteuid()} {name}, or choose another directory"
        )
    if found.st_mode & OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        return (
            f"BOTTLEPOST_RUN_DIR {name} is open to other users (mode {mode:o}): "
            f"run chmod 700 {name}"
        )
    return None
