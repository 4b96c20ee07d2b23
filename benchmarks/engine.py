"""The whole engine (fan-out, send, record) and bare clients, to 1,000,000 members.

    python -m benchmarks.engine [--quick] [--json] [--members 1000000] [--locales]

The engine runs a job from a real SQLite database and pushes over TLS to a sink that
answers 200; aioapns and node-apn push payloads from memory. They take turns, and the
medians count.

Then conversations grow tenfold up to `--members`, while memory and time per push should
stay the same. A small job mostly spends its time on starting (connection, token,
statements), which makes large jobs look better. So the marginal cost of a push is shown
too: the difference in time between two sizes, divided by the difference in pushes.

At last the largest conversation gets a message of a kind with texts in four languages,
to devices of one locale and of four; with --locales this is measured alone.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import push_engine, pushing
from benchmarks.pushing import Figures, Sinks
from benchmarks.report import Report, median, options
from tests.support import tls

# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = Path("var")
MEMBERS = 100_000
LOCALES = ("de", "fr", "ja", "en")
SMALLEST, LARGEST, LARGEST_QUICK = 1_000, 1_000_000, 100_000


@contextmanager
def scratch() -> Iterator[Path]:
    """A run directory that is removed again."""
    SCRATCH.mkdir(exist_ok=True)
    run_dir = Path(tempfile.mkdtemp(prefix="engine-", dir=SCRATCH)).resolve()
    try:
        yield run_dir
    finally:
        shutil.rmtree(run_dir)


def engine(sinks: Sinks, members: int, locales: Sequence[str] = ()) -> Figures:
    with scratch() as run_dir:
        push_engine.fill(run_dir, members, locales=locales)
        command = [sys.executable, "-m", "benchmarks.push_engine", str(run_dir)]
        command += [sinks.plain, str(tls.authority().ca_file)]
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, timeout=900, check=True
        )
    return pushing.figures_of(ended.stdout)


def compare(report: Report, sinks: Sinks, rounds: int) -> None:
    clients: dict[str, Callable[[], Figures]] = {
        "engine": lambda: engine(sinks, MEMBERS),
        "aioapns": lambda: pushing.foreign("aioapns_push.py", sinks.echo, 5_000),
    }
    if shutil.which("npm"):
        clients["node-apn"] = lambda: pushing.node_apn(sinks.plain, 10_000)
    found: dict[str, list[float]] = {name: [] for name in clients}
    for turn in range(rounds):
        for name in list(clients)[:: -1 if turn % 2 else 1]:
            found[name].append(clients[name]()["pushes_per_s"])
            report.row(turn=turn + 1, client=name, pushes_per_s=found[name][-1])
    for name, least in (("aioapns", 15), ("node-apn", 4)):
        if name in found:
            pairs = zip(found["engine"], found[name], strict=True)
            ratio = median([ours / theirs for ours, theirs in pairs])
            report.goal(f"pushes/s of the engine ÷ {name}", ratio, at_least=least)


def sizes_up_to(members: int) -> list[int]:
    """Tenfold steps from the smallest size; the last one is `members`."""
    sizes = [SMALLEST]
    while sizes[-1] * 10 < members:
        sizes.append(sizes[-1] * 10)
    return sorted({*sizes, max(members, SMALLEST)})


def grow(report: Report, sinks: Sinks, sizes: list[int], rounds: int) -> None:
    """Measure all sizes in turn; the medians count."""
    found: dict[int, list[Figures]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            found[size].append(engine(sinks, size))
    middles = {
        size: {name: median([f[name] for f in figures]) for name in figures[0]}
        for size, figures in found.items()
    }
    for size, middle in middles.items():
        report.row(members=size, **middle)
    first, last = middles[sizes[0]], middles[sizes[-1]]
    name = f"at {sizes[-1]:,} ÷ {sizes[0]:,} members"
    for column, words in (("peak_mib", "memory"), ("wall_us", "time per push")):
        report.goal(f"{words} {name}", last[column] / first[column], at_most=1.1)
    if len(sizes) > 2:
        compare_marginal_costs(
            report, sizes, {size: m["wall_us"] for size, m in middles.items()}
        )


def compare_marginal_costs(
    report: Report, sizes: list[int], wall_us: dict[int, float]
) -> None:
    """Compare the marginal cost of a push in small and in large conversations."""
    costs = {}
    for low, high in ((sizes[0], sizes[1]), (sizes[-2], sizes[-1])):
        more_us = wall_us[high] * high - wall_us[low] * low
        costs[high] = more_us / (high - low)
        report.row(more=f"from {low:,} to {high:,}", one_more_push_us=costs[high])
    ratio = costs[sizes[-1]] / costs[sizes[1]]
    words = f"time of one more push up to {sizes[-1]:,} ÷ up to {sizes[1]:,} members"
    report.goal(words, ratio, at_most=1.1)


def speak(report: Report, sinks: Sinks, members: int, rounds: int) -> None:
    """One locale and four in turn; the medians of the ratios of turns count."""
    cases = {"one": LOCALES[:1] * 4, "four": LOCALES}
    found: dict[str, list[Figures]] = {name: [] for name in cases}
    for turn in range(rounds):
        for name in list(cases)[:: -1 if turn % 2 else 1]:
            figures = engine(sinks, members, cases[name])
            found[name].append(figures)
            report.row(locales=name, **figures)
    for column, words in (("wall_us", "time"), ("cpu_us", "CPU time")):
        pairs = zip(found["four"], found["one"], strict=True)
        ratio = median([four[column] / one[column] for four, one in pairs])
        report.goal(f"{words} of four locales ÷ one", ratio, at_most=1.1)


def main() -> None:
    chosen = options((__doc__ or "").splitlines()[0], members=0, locales=False)
    report = Report("The whole engine, SQLite with synchronous=FULL, one process")
    members = chosen.members or (LARGEST_QUICK if chosen.quick else LARGEST)
    with pushing.sinks() as sinks:
        if not chosen.locales:
            compare(report, sinks, 2 if chosen.quick else 7)
            grow(report, sinks, sizes_up_to(members), 1 if chosen.quick else 3)
        speak(report, sinks, members, 1 if chosen.quick else 5)
    report.print(as_json=chosen.json)


if __name__ == "__main__":
    main()
