"""Has this checkout become slower than another one? Both are measured in turns.

    python -m benchmarks.paired OTHER_CHECKOUT [--turns 21] [--only push,send] [--json]

OTHER_CHECKOUT is a clone of an older commit with a virtual environment of its own
(`make .venv/.installed-dev` in it). In each turn the same work is done by both, one
after the other and in alternating order, so that both meet the same machine. The
figure is the ratio of this one to the other one, larger is better:

    push    pushes/s of the transport over one connection
    engine  pushes/s of the engine through one large job
    send    sends/s of the server with eight clients, pushing behind the answer
    small   1 ÷ (send → last push answered, p50) of small chats at a fixed rate

The 95 % interval of the median ratio is found by bootstrapping over the turns. A
figure has not fallen when that interval reaches 0.97.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import hosts, pushing, send
from benchmarks.clients import LoadSender, post_for
from benchmarks.pushing import Sinks
from benchmarks.report import Report, median
from tests.support import tls
from tests.support.paths import ROOT

REACHES = 0.97
TURNS = 21
PUSHES = 100_000
MEMBERS = 20_000
SEND_S = 2.0
SMALL_S = 4
RESAMPLES = 4000
LONGEST_S = 300
# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = ROOT / "var"

# One measurement of one checkout.
Measure = Callable[[], float]


class Checkout(NamedTuple):
    """A source tree and the Python that runs it."""

    name: str
    path: Path
    python: Path

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run a module of the checkout; returns its last line, which is JSON."""
        ended = subprocess.run(
            [str(self.python), *arguments],
            cwd=self.path,
            stdout=subprocess.PIPE,
            text=True,
            timeout=LONGEST_S,
            check=True,
        )
        found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        return found


@contextmanager
def push(checkouts: Sequence[Checkout], sinks: Sinks) -> Iterator[list[Measure]]:
    ca_file = str(tls.authority().ca_file)

    def measure(checkout: Checkout) -> Measure:
        command = ["-m", "benchmarks.push_transport", sinks.plain, ca_file]
        command += ["--pushes", str(PUSHES)]
        return lambda: float(checkout.run(*command)["pushes_per_s"])

    yield [measure(checkout) for checkout in checkouts]


@contextmanager
def engine(checkouts: Sequence[Checkout], sinks: Sinks) -> Iterator[list[Measure]]:
    ca_file = str(tls.authority().ca_file)
    with _scratch("engine") as scratch:

        def measure(checkout: Checkout) -> Measure:
            # Filled once; each measurement has a copy.
            filled = scratch / checkout.name
            fill = (
                "import sys; from pathlib import Path; from benchmarks import "
                "push_engine; push_engine.fill(Path(sys.argv[1]), int(sys.argv[2]))"
                "; print('{}')"
            )
            checkout.run("-c", fill, str(filled), str(MEMBERS))

            def once() -> float:
                with _scratch("turn") as run_dir:
                    shutil.copytree(filled, run_dir, dirs_exist_ok=True)
                    command = ["-m", "benchmarks.push_engine", str(run_dir)]
                    found = checkout.run(*command, sinks.plain, ca_file)
                    return float(found["pushes_per_s"])

            return once

        yield [measure(checkout) for checkout in checkouts]


@contextmanager
def send_to(checkouts: Sequence[Checkout], _sinks: Sinks) -> Iterator[list[Measure]]:
    with ExitStack() as running, _scratch("send") as scratch:
        measures: list[Measure] = []
        for checkout in checkouts:
            run_dir = scratch / checkout.name
            run_dir.mkdir()
            sandbox = hosts.SandboxProcess(run_dir / "sandbox")
            running.callback(sandbox.stop)
            senders = send.fill(run_dir, [send.MEMBERS] * send.CONVERSATIONS)
            host = hosts.MeasuredServer(
                run_dir,
                sandbox.environment,
                "server.py",
                python=checkout.python,
                cwd=checkout.path,
            )
            running.callback(host.stop)
            measures.append(_posting(host, senders))
        yield measures


def _posting(host: hosts.MeasuredServer, senders: list[LoadSender]) -> Measure:
    def once() -> float:
        load = post_for(SEND_S, host.port, senders, send.CLIENTS)
        host.settle()
        return load.per_second

    return once


@contextmanager
def small(checkouts: Sequence[Checkout], _sinks: Sinks) -> Iterator[list[Measure]]:
    def measure(checkout: Checkout) -> Measure:
        command = ["-m", "benchmarks.small", "--json", "--seconds", str(SMALL_S)]
        return lambda: 1.0 / float(checkout.run(*command)["rows"][0]["p50_ms"])

    yield [measure(checkout) for checkout in checkouts]


BENCHMARKS = {"push": push, "engine": engine, "send": send_to, "small": small}


@contextmanager
def _scratch(name: str) -> Iterator[Path]:
    SCRATCH.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"paired-{name}-", dir=SCRATCH)).resolve()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def take_turns(name: str, measures: Sequence[Measure], turns: int) -> list[float]:
    """The ratio of the first one to the second one, turn by turn."""
    ratios = []
    for turn in range(turns):
        figures = [0.0, 0.0]
        # The one that went first goes last, so that the order gives no advantage.
        for place in (0, 1) if turn % 2 else (1, 0):
            figures[place] = measures[place]()
        ratios.append(figures[0] / figures[1])
        progress = f"{name} {turn + 1}/{turns}: {figures[0]:.4g} / {figures[1]:.4g}"
        print(f"  {progress} = {ratios[-1]:.3f}", file=sys.stderr, flush=True)
    return ratios


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the median, by resampling the turns."""
    chance = random.Random(1)
    medians = sorted(
        median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES)
    )
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, help="a clone of the older commit")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--only", default=",".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="three turns each")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    turns = 3 if chosen.quick else chosen.turns
    other = chosen.other.resolve()
    checkouts = [
        Checkout("new", ROOT, Path(sys.executable)),
        Checkout("old", other, other / ".venv" / "bin" / "python"),
    ]
    report = Report(f"This commit ÷ the other one, {turns} turns")
    os.environ.pop("PYTHONPATH", None)
    with pushing.sinks() as sinks:
        for name in chosen.only.split(","):
            with BENCHMARKS[name](checkouts, sinks) as measures:
                ratios = take_turns(name, measures, turns)
            low, high = interval(ratios)
            report.row(benchmark=name, ratio=median(ratios), low=low, high=high)
            words = f"{name}: upper end of the ratio's 95 % interval"
            report.goal(words, high, at_least=REACHES)
    report.print(as_json=chosen.json)


if __name__ == "__main__":
    main()
