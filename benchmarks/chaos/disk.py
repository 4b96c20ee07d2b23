"""A small disk of a part's own, which can be filled; only root may mount one."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

SIZE_MIB = 512
# What is left to a full disk: less than a page of any database.
STEP = 1 << 20


class SmallDisk:
    """A tmpfs on a directory, or the directory alone where mounting is not allowed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.is_mounted = os.geteuid() == 0 and _run(
            "mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=755", "chaos"
        )(directory)
        self._ballast = directory / "ballast"

    def fill(self) -> None:
        """Take all space that is left."""
        with self._ballast.open("wb", buffering=0) as file:
            step = STEP
            while step >= 1:
                try:
                    os.posix_fallocate(file.fileno(), file.tell(), step)
                    file.seek(step, os.SEEK_CUR)
                except OSError:
                    step //= 2

    def free(self) -> None:
        with suppress(FileNotFoundError):
            self._ballast.unlink()

    def close(self) -> None:
        self.free()
        if self.is_mounted:
            # Lazily, because a process that is just ending may still have a file open.
            _run("umount", "-l")(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)


def _run(*command: str):
    def run(directory: Path) -> bool:
        program = shutil.which(command[0])
        if program is None:
            return False
        ended = subprocess.run(
            [program, *command[1:], str(directory)], capture_output=True, check=False
        )
        return ended.returncode == 0

    return run
