"""Strike every part of a running system while messages are posted, and count the harm.

    python -m benchmarks.chaos [--quick] [--json] [--strikes 280] [--seed N]
                               [--part NAME,NAME] [--fault NAME,NAME] [--resume FILE]
                               [--plain]

A part is a dispatcher, a database and a number of hosts: "process-postgresql-2". A
name, or the beginning of one, chooses parts. In each part messages are posted while
faults strike in a random order: SIGKILL, or SIGSTOP beyond the lease, of web workers,
engines, fork servers, the provider (a sandbox), whole hosts, or everything; the
database's backends and its server; a network to it that is frozen, or whose
connections are lost without a word; a full disk; serialization failures; a clock that
is an hour off; and the broker. `rolling` runs an older commit beside this one.

Every message that was saved must reach every device of its conversation, in order. A
push may be repeated once for each strike at which it was in flight. See history.py.

A full disk needs root, a moved clock a C compiler; without them they are left out. With
--resume, finished parts are written to a file, and skipped the next time. --plain runs
the same strikes against ways without an outbox; see plain.py.
"""

import json
import random
import signal
import sys
import traceback
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chaos import clock, parts, plain, run
from benchmarks.chaos.faults import CLOCK, FAULTS
from benchmarks.chaos.history import GUARANTEES
from benchmarks.chaos.parts import Part
from benchmarks.chaos.run import PartResult
from benchmarks.report import Report, options
from tests.support import rabbitmq_server

STRIKES = 280
QUICK_STRIKES = 8
QUICK_FAULTS = [name for name in FAULTS if name != CLOCK]
PLAIN_STRIKES = 60
# All messages are to be pushed so soon after the last strike. If a clock was wrong,
# the provider has refused a token, and the engine tries again after a minute.
SETTLED_S = 15.0
SETTLED_WITH_CLOCK_S = 60.0 + SETTLED_S
# What is compared with the plain ways.
OURS = Part("process", parts.POSTGRESQL)


def main() -> None:
    chosen = options(
        __doc__ or "",
        strikes=0,
        seed=0,
        part="",
        fault="",
        resume="",
        plain=False,
    )
    # SIGTERM must end what was started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = chosen.seed or random.SystemRandom().randrange(1, 2**31)
    print(f"seed {seed}", flush=True)
    if chosen.plain:
        report = _compare(chosen.strikes or PLAIN_STRIKES, seed, _names(chosen.part))
    else:
        report = _run_parts(chosen, seed)
    report.print(as_json=chosen.json)


def _run_parts(chosen: Namespace, seed: int) -> Report:
    names = _names(chosen.part) or (list(parts.QUICK) if chosen.quick else [])
    strikes = chosen.strikes or (QUICK_STRIKES if chosen.quick else STRIKES)
    file = ResumeFile(Path(chosen.resume), seed, strikes) if chosen.resume else None
    if file is not None and file.seed != seed:
        seed = file.seed
        print(f"seed {seed}, of the earlier run", flush=True)
    if clock.compiler() is None:
        print("left out: clock: there is no C compiler")
    if not rabbitmq_server.is_installed():
        print("left out: celery on RabbitMQ: it is not installed")
    report = Report(f"Chaos: strikes while messages are posted, seed {seed}")
    only = _names(chosen.fault) or (QUICK_FAULTS if chosen.quick else [])
    by_fault: Counter[str] = Counter()
    failed: list[str] = []
    for part, share in parts.share(strikes, parts.choose(names)).items():
        result = file.results.get(part.name) if file is not None else None
        if result is None:
            try:
                result = run.run(part, share, seed, only=only)
            except Exception:
                # It is run again by `--resume`.
                print(f"  {part.name} could not be run:", flush=True)
                traceback.print_exc()
                failed.append(part.name)
                continue
            if file is not None:
                file.append(result)
        report.row(**result.row)
        for line in result.details:
            print(f"    {line}", flush=True)
        by_fault.update(result.faults)
    summarize(report, by_fault)
    report.goal("parts that could not be run", len(failed), at_most=0)
    return report


def _compare(strikes: int, seed: int, names: Sequence[str]) -> Report:
    """Ours and the plain ways, struck by the same faults."""
    report = Report(f"Chaos: with and without an outbox, seed {seed}")
    ours = "bottlepost"
    if not names or ours in names:
        row = run.run(OURS, strikes, seed, only=plain.STRUCK, latency_ms=0).row
        report.row(
            way=f"{ours} ({OURS.dispatcher})",
            strikes=row["strikes"],
            messages=row["messages"],
            pushes=row["pushes"],
            lost=row["lost"] + row["stuck"],
            messages_with_loss=row["incomplete"],
            doubled=row["repeated"],
        )
        report.goal("lost with an outbox", row["lost"] + row["stuck"], at_most=0)
    for name in plain.WAYS:
        if not names or name in names:
            report.row(**plain.run(name, strikes, seed))
    return report


def summarize(report: Report, by_fault: Counter[str]) -> None:
    """The strikes by fault, and the sums of all parts as goals."""
    rows = list(report.rows)
    for name, count in by_fault.most_common():
        report.row(fault=name, strikes=count)
    for name in (*GUARANTEES, "wrong_answers", "unanswered"):
        report.goal(name.replace("_", " "), sum(row[name] for row in rows), at_most=0)
    slowest_s = max((row["settled_s"] for row in rows), default=0.0)
    limit_s = SETTLED_WITH_CLOCK_S if by_fault[CLOCK] else SETTLED_S
    report.goal("seconds until all had ended", slowest_s, at_most=limit_s)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


class ResumeFile:
    """The results of an earlier run, and its seed."""

    def __init__(self, path: Path, seed: int, strikes: int) -> None:
        self._path = path
        self.results: dict[str, PartResult] = {}
        self.seed = seed
        if not path.exists():
            path.write_text(json.dumps({"seed": seed, "strikes": strikes}) + "\n")
            return
        first, *lines = map(json.loads, path.read_text().splitlines())
        if first["strikes"] != strikes:
            raise SystemExit(f"{path} is of a run with {first['strikes']} strikes")
        self.seed = first["seed"]
        for line in lines:
            result = PartResult(*line)
            self.results[result.row["part"]] = result

    def append(self, result: PartResult) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
