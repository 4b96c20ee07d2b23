"""Backups of database servers, by the servers' own programs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from datastore import POOLER

# What is shown of a program's error.
MOST_LINES = 3
LONGEST_REASON = 400
MARIADB_END = b"-- Dump completed"


class DumpFailed(Exception):
    """The message says why, in one line."""


def postgresql(url: URL, target: Path) -> None:
    """Write an archive for pg_restore."""
    program = _program(("pg_dump",), "PostgreSQL's client programs")
    # `URL.set` would leave the password there.
    plain = url.difference_update_query([POOLER])._replace(
        drivername="postgresql", password=None
    )
    with _secret(_pgpass(url)) as passfile, _part_of(target) as part:
        address = plain
        if url.password is not None:
            address = plain.update_query_dict({"passfile": str(passfile)})
        where = address.render_as_string(hide_password=False)
        _run([program, "--format=custom", f"--file={part}", f"--dbname={where}"])
        if shutil.which("pg_restore"):
            # It reads the table of contents, which is written last.
            _run(["pg_restore", "--list", str(part)])


def mariadb(url: URL, target: Path) -> None:
    """Write a script for the mariadb client."""
    program = _program(("mariadb-dump", "mysqldump"), "MariaDB's client programs")
    options: dict[str, Any] = {
        "user": url.username,
        "password": url.password,
        "host": url.host,
    }
    options |= {"port": url.port, "socket": url.query.get("unix_socket")}
    lines = [f'{name}="{_quoted(str(v))}"' for name, v in options.items() if v]
    with (
        _secret("\n".join(["[client]", *lines, ""])) as defaults,
        _part_of(target) as part,
    ):
        _run(
            [
                program,
                f"--defaults-extra-file={defaults}",
                # One state of the data, without locks that senders would wait for.
                "--single-transaction",
                "--quick",
                "--hex-blob",
                f"--result-file={part}",
                str(url.database),
            ]
        )
        with part.open("rb") as script:
            script.seek(max(0, part.stat().st_size - 200))
            if MARIADB_END not in script.read():
                raise DumpFailed("the dump has no end: it was cut off")


def _program(names: Sequence[str], package: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise DumpFailed(
        f"{names[0]} is not installed here: install {package} of the server's version,"
        " or make the backup where they are"
    )


def _run(command: Sequence[str]) -> None:
    try:
        # Arguments of our own, and no shell.
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    except subprocess.CalledProcessError as problem:
        name = Path(command[0]).name
        lines = [
            line.removeprefix(f"{name}: ").strip()
            for line in problem.stderr.strip().splitlines()
        ]
        said = "; ".join(lines[:MOST_LINES]) or f"status {problem.returncode}"
        raise DumpFailed(f"{name}: {said[:LONGEST_REASON]}") from problem


def _pgpass(url: URL) -> str:
    """A line for any server: the program connects to one only."""
    password = str(url.password or "").replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{password}\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@contextmanager
def _secret(text: str) -> Iterator[Path]:
    """A file for its owner only, because other users see a command's arguments."""
    descriptor, name = tempfile.mkstemp(prefix="bottlepost-")
    try:
        with open(descriptor, "w") as file:
            file.write(text)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """The file to write, which becomes `target` if the block ends without an error."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield part
        part.replace(target)
    except OSError as problem:
        raise DumpFailed(str(problem)) from problem
    finally:
        part.unlink(missing_ok=True)
