"""A wall clock that is moved while its processes run; needs a C compiler.

Not libfaketime: it also changes how threads wait with a timeout.
"""

import mmap
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
_OFFSET = struct.Struct("=q")


@cache
def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


class ShiftedClock:
    """The clock of the processes that are started with `environment`."""

    def __init__(self, directory: Path, name: str) -> None:
        library = directory / "clock.so"
        if not library.exists():
            _compile(library)
        file = directory / name
        file.write_bytes(_OFFSET.pack(0))
        with file.open("r+b") as opened:
            self._offset = mmap.mmap(opened.fileno(), _OFFSET.size)
        self.environment = {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(file)}

    def set(self, offset_s: int) -> None:
        self._offset[:] = _OFFSET.pack(offset_s)


def _compile(library: Path) -> None:
    command = [str(compiler()), "-O2", "-fPIC", "-shared", "-o", str(library)]
    subprocess.run([*command, str(SOURCE), "-ldl"], check=True)
