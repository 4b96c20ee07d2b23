"""One core and one large job: the CPU time of a push, and the memory of the engine.

    python -m benchmarks.core [--quick] [--json] [--members 200000]

An engine pushes a message to 20,000 and to `--members` devices: it reads them from the
database (SQLite and PostgreSQL), pushes over TLS, and records the outcomes. `cpu_us` is
the CPU time of a push in all threads of its process, which has one core for itself; the
provider is a server in C (`benchmarks/sink.c`) on another one. Without a compiler and
OpenSSL's headers it is the sink of `benchmarks.push`, which is slower than the engine,
so that `wall_us` says little then. `peak_pss_mib` is the highest of twenty samples a
second.

Sizes and databases take turns. The least CPU time counts and not the median, because
other programs on the machine only add to it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import engine, postgresql, push_engine, pushing
from benchmarks.pushing import Figures
from benchmarks.report import Report, options
from tests.support import tls

MEMBERS = 200_000
FEW = 20_000
GOAL_US = 8.0
# What a job ten times as large may need more.
GOAL_GROWTH_MIB = 3.0
SAMPLE_S = 0.05
LONGEST_S = 900


def main() -> None:
    chosen = options(__doc__ or "", members=MEMBERS)
    rounds = 1 if chosen.quick else 7
    sizes = [FEW, max(chosen.members, FEW)]
    report = Report("One core, one large job: fan-out, TLS and recording")
    with ExitStack() as running:
        url, sink = running.enter_context(provider())
        print(f"  the provider is {sink}", flush=True)
        server = running.enter_context(postgresql.running())
        new_url: dict[str, Any] = {
            "SQLite": lambda: None,
            "PostgreSQL": lambda: _with_driver(server),
        }
        found: dict[tuple[str, int], list[Figures]] = {}
        for _ in range(rounds):
            for database, create in new_url.items():
                for size in sizes:
                    figures = _push(url, size, create())
                    found.setdefault((database, size), []).append(figures)
    for (database, size), several in found.items():
        report.row(database=database, devices=size, provider=sink, **_best(several))
    for database in new_url:
        few, many = (_best(found[database, size]) for size in sizes)
        words = f"us of CPU for a push to {sizes[-1]:,} devices, {database}"
        report.goal(words, many["cpu_us"], at_most=GOAL_US)
        growth = many["peak_pss_mib"] - few["peak_pss_mib"]
        words = f"MiB more for {sizes[-1]:,} than for {FEW:,} devices, {database}"
        report.goal(words, growth, at_most=GOAL_GROWTH_MIB)
    report.print(as_json=chosen.json)


def _best(several: list[Figures]) -> Figures:
    names = ("cpu_us", "wall_us", "peak_pss_mib")
    return {name: min(figures[name] for figures in several) for name in names}


def _with_driver(server: postgresql.Server) -> str:
    url = server.new_database().set(drivername="postgresql+psycopg")
    return url.render_as_string(hide_password=False)


def _push(url: str, devices: int, database_url: str | None) -> Figures:
    """Push to this number of devices, in a process of its own."""
    with engine.scratch() as run_dir:
        push_engine.fill(run_dir, devices, database_url)
        command = [sys.executable, "-m", "benchmarks.push_engine", str(run_dir)]
        command += [url, str(tls.authority().ca_file)]
        if database_url:
            command += ["--database-url", database_url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        _stay_on(process.pid, 0)
        peak_mib = 0.0
        try:
            for _ in range(int(LONGEST_S / SAMPLE_S)):
                try:
                    printed, _ = process.communicate(timeout=SAMPLE_S)
                    break
                except subprocess.TimeoutExpired:
                    peak_mib = max(peak_mib, _pss_mib(process.pid))
            else:
                raise SystemExit(f"the engine did not end within {LONGEST_S} s")
        finally:
            process.kill()
            process.wait()
    return {**pushing.figures_of(printed), "peak_pss_mib": peak_mib}


def _stay_on(pid: int, core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, {cores[core % len(cores)]})


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line[:4] == "Pss:") / 1024


@contextmanager
def provider() -> Iterator[tuple[str, str]]:
    """The address of the provider, and what it is."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "sink"
        if not _compile(program):
            with pushing.sinks() as sinks:
                yield sinks.plain, "in Python, for want of a compiler"
            return
        identity = tls.server_identity()
        command = [str(program), str(identity.certificate), str(identity.key)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        _stay_on(process.pid, 1)
        assert process.stdout is not None
        try:
            yield f"https://127.0.0.1:{int(process.stdout.readline())}", "in C"
        finally:
            process.terminate()
            process.wait(10)


def _compile(program: Path) -> bool:
    source = Path(__file__).with_name("sink.c")
    command = ["cc", "-O2", "-o", str(program), str(source), "-lssl", "-lcrypto"]
    try:
        ended = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return ended.returncode == 0


if __name__ == "__main__":
    main()
