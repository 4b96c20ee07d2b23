"""Memory at rest: the server with a warm PushProcess, and the cost of their start.

    python -m benchmarks.memory [--quick] [--json] [--starts 5]

A server starts as `make run` starts it, the first message is pushed, and when nothing
happens any more the memory of each process is read. Shared pages are divided among
their processes (PSS); `own_mib` is what would be free if only this process ended. The
pages of programs and libraries are counted once, as if no other program used them.
The second table has the start: until the server answers, from the first message to its
first push while no PushProcess runs, and the CPU time of all processes until then. Its
figures, and the memory, are medians over the starts.
"""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import hosts, processes
from benchmarks.hosts import KEY, MeasuredServer
from benchmarks.processes import Memory
from benchmarks.report import Report, median, options
from benchmarks.stages import Arrivals
from demo import choices, conversation
from demo.api import Api
from tests.support import sandbox as sandboxes
from tests.support.sandbox import Sandbox

STARTS = 5
QUICK = 2
GOAL_MIB = 130
# The memory must not change by more than this for this long.
STEADY_MIB = 0.25
STEADY_S = 2.0
SETTLE_S = 60.0
# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = Path("var")


class Start(NamedTuple):
    """The figures of one server."""

    memory: dict[str, Memory]
    ready_ms: float
    first_push_ms: float
    cpu_ms: float


def main() -> None:
    chosen = options(__doc__ or "", starts=STARTS)
    # SIGTERM must stop the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report("Memory at rest, after the first message has been pushed")
    with _scratch() as scratch:
        number = QUICK if chosen.quick else chosen.starts
        found = [_start(scratch / str(k)) for k in range(number)]
    for name in found[0].memory:
        report.row(
            process=name,
            pss_mib=median([start.memory[name].pss_mib for start in found]),
            own_mib=median([start.memory[name].own_mib for start in found]),
        )
    sums = [sum(memory.pss_mib for memory in start.memory.values()) for start in found]
    report.row(
        start_ready_ms=median([start.ready_ms for start in found]),
        first_push_ms=median([start.first_push_ms for start in found]),
        cpu_ms=median([start.cpu_ms for start in found]),
    )
    report.goal("server and PushProcess at rest, MiB", median(sums), at_most=GOAL_MIB)
    report.print(as_json=chosen.json)


def _start(run_dir: Path) -> Start:
    """Start a server, have one message pushed, and measure it at rest."""
    journal = run_dir / "journal"
    run_dir.mkdir()
    with sandboxes.running(run_dir / "sandbox", journal=journal) as sandbox:
        started_at = time.monotonic()
        server = MeasuredServer(run_dir, _environment(sandbox), "server.py")
        ready_s = time.monotonic() - started_at
        try:
            _settle(run_dir)
            first_push_s = _send(server, Arrivals(journal), run_dir)
            cpu_s = processes.cpu_s(run_dir)
            server.settle()
            memory = _settle(run_dir)
        finally:
            server.stop()
    return Start(memory, ready_s * 1000, first_push_s * 1000, cpu_s * 1000)


def _environment(sandbox: Sandbox) -> dict[str, str]:
    """All channels that `make run` has."""
    return {
        **sandbox.environment,
        "BOTTLEPOST_VAPID_SUBJECT": choices.CONTACT,
        # Longer than the benchmark takes.
        "BOTTLEPOST_PUSH_LINGER_S": "300",
    }


def _send(server: MeasuredServer, arrivals: Arrivals, run_dir: Path) -> float:
    """Send the first message of all; returns the seconds until its first push."""
    api = Api(f"http://127.0.0.1:{server.port}")
    chat = conversation.prepare(api, KEY, run_dir / "demo.json")
    body = {"conversation": chat.id, "message": "Land in sight"}
    sent_at = time.time()
    sent = api.call("POST", "/groupchat/send", chat.sender.token, body)
    first_at, *_ = arrivals.wait(sent["message"]["id"], 1)
    return first_at - sent_at


def _settle(run_dir: Path) -> dict[str, Memory]:
    """Wait until the memory of all processes changes no more, and return it."""
    steady_since, before_mib = time.monotonic(), 0.0

    def is_steady() -> bool:
        nonlocal steady_since, before_mib
        mib = processes.memory_mib(run_dir)
        if abs(mib - before_mib) > STEADY_MIB:
            steady_since, before_mib = time.monotonic(), mib
        return time.monotonic() - steady_since > STEADY_S

    hosts.until(is_steady, "the memory is steady", SETTLE_S)
    return processes.memory_by_name(run_dir)


@contextmanager
def _scratch() -> Iterator[Path]:
    SCRATCH.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="memory-", dir=SCRATCH)).resolve()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
