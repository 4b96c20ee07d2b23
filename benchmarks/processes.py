"""CPU time and memory of all processes with the same run directory."""

import os
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Reading a process's memory takes a millisecond or two of CPU.
SAMPLE_S = 0.25
# The name that a PushProcess gives itself.
ENGINE = "push-process\n"
# Names that processes give themselves.
NAMES = {"push-process": "PushProcess", "fork-server": "fork server"}
# What is in the command line of multiprocessing's own processes.
HELPERS = {
    "multiprocessing.forkserver": "fork server",
    "multiprocessing.resource_tracker": "resource tracker",
}
FILES = "programs and libraries"


class Memory(NamedTuple):
    """The memory of the processes of one kind, without the files they are made of."""

    # Shared pages are divided among their processes (PSS).
    pss_mib: float
    # Pages of one process alone.
    own_mib: float


def of(run_dir: Path) -> list[Path]:
    """The server, its workers and their children, found by their environment."""
    mark = f"BOTTLEPOST_RUN_DIR={run_dir}\0".encode()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                if mark in (process / "environ").read_bytes():
                    found.append(process)
    return found


def cpu_s(run_dir: Path) -> float:
    """CPU time so far, including that of ended children."""
    ticks = 0
    for process in of(run_dir):
        with suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            # utime, stime, cutime, cstime
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_PER_S


def cpu_by_role(run_dir: Path, server: int) -> dict[str, float]:
    """CPU time so far of a server's web workers, of its engines and of the rest."""
    found = {"worker": 0.0, "engine": 0.0, "rest": 0.0}
    for process in of(run_dir):
        with suppress(OSError):
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            name = (process / "comm").read_text()
            is_worker = int(stat[1]) == server
            role = "worker" if is_worker else "rest"
            role = "engine" if name == ENGINE else role
            found[role] += sum(map(int, stat[11:13])) / TICKS_PER_S
    return found


def family_cpu_s(pid: int) -> float:
    """CPU time so far of a process and its children, living and ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for process in (str(pid), *children):
        with suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]
            ticks += sum(map(int, fields.split()[11:15]))
    return ticks / TICKS_PER_S


def machine_cpu_s() -> float:
    """CPU time so far of everything on this machine."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def memory_mib(run_dir: Path) -> float:
    """Memory in use; shared pages are divided among their processes (PSS)."""
    kib = 0
    for process in of(run_dir):
        with suppress(OSError):
            kib += _sums(process)["Pss"]
    return kib / 1024


def memory_by_name(run_dir: Path) -> dict[str, Memory]:
    """Memory in use, by the kind of process; the oldest process comes first.

    Pages of programs and libraries are FILES, counted once. In a PSS they would be
    divided among all processes of the machine, so that others would lower our figures.
    """
    found: dict[str, Memory] = {}
    files: Counter[str] = Counter()
    for process in sorted(of(run_dir), key=lambda process: int(process.name)):
        with suppress(OSError):
            sums = _sums(process)
            memory = Memory(sums["Pss_Anon"] / 1024, sums["Private_Dirty"] / 1024)
            name = _name(process)
            before = found.get(name, Memory(0.0, 0.0))
            found[name] = Memory(*map(sum, zip(before, memory, strict=True)))
            files |= _files(process)
    files_mib = files.total() / 1024
    return {**found, FILES: Memory(files_mib, files_mib)}


def _name(process: Path) -> str:
    comm = (process / "comm").read_text().strip()
    if comm in NAMES:
        return NAMES[comm]
    command = (process / "cmdline").read_text()
    for module, name in HELPERS.items():
        if module in command:
            return name
    parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
    # The workers of our own host are forked from the server.
    if (Path("/proc") / parent / "cmdline").read_text() == command:
        return "web worker"
    return "server"


def _sums(process: Path) -> dict[str, int]:
    """KiB of the whole process."""
    lines = (process / "smaps_rollup").read_text().splitlines()[1:]
    return {name[:-1]: int(kib) for name, kib, *_ in map(str.split, lines)}


def _files(process: Path) -> Counter[str]:
    """KiB in memory of each file that the process has mapped."""
    kib: Counter[str] = Counter()
    path = ""
    for line in (process / "smaps").read_text().splitlines():
        name, value, *rest = line.split()
        if not name.endswith(":"):
            # The beginning of a mapping: addresses, rights, offset, device, inode.
            path = rest[-1] if rest[-1].startswith("/") else ""
        elif path and name == "Rss:":
            kib[path] += int(value)
        elif path and name == "Anonymous:":
            # Pages that the process has written to are its own.
            kib[path] -= int(value)
    return kib


class MemoryWatch:
    """The highest use of memory during a `with` block."""

    def __init__(self, run_dir: Path, every_s: float = SAMPLE_S) -> None:
        self.most_mib = 0.0
        self._run_dir = run_dir
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._ended.is_set():
            self.most_mib = max(self.most_mib, memory_mib(self._run_dir))
            self._ended.wait(self._every_s)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
