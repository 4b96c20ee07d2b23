"""Whether pushing keeps up while senders post as fast as they get answers.

    python -m benchmarks.rush [--quick] [--json] [--only 10,8x10,200x5]
                              [--database sqlite,postgresql] [--seconds 6]
                              [--turns 3] [--delay-ms 0]

Eight clients post to one conversation or to several; each member has one device. A
server with push off takes turns with ours, and the medians count. A message counts as
pushed when the pushes of all other members are at the provider; `pushed_per_s` and
`pushed_ratio` count only what was pushed before the last send was answered. Then the
clients post at 80 % of the highest rate. `last_push` is the time from the send to the
message's last push.

Clients, server, engine, database and provider share the machine, so the table shows the
CPU time of each: of web worker and database per answer, of the engine per message that
was pushed to all, of the provider per push. `foreign_cores` is what other programs of
the machine used meanwhile: the figures are worth little when that is much.
"""

import signal
import sys

from benchmarks import rush_stage
from benchmarks.report import Report, median, options
from benchmarks.rush_stage import Case, Figures, Shape, Stage
from tests.support import databases

SHAPES = {
    "2": Shape(1, 2),
    "10": Shape(1, 10),
    "8x10": Shape(8, 10),
    "200x5": Shape(200, 5),
    "100": Shape(1, 100),
}
DATABASES = ("sqlite", "postgresql")
ALL = [Case(database, shape) for database in DATABASES for shape in SHAPES.values()]
FAR = Case("sqlite", SHAPES["8x10"], 80.0)
QUICK = [Case("sqlite", SHAPES["10"]), Case("sqlite", SHAPES["8x10"])]
# The part of the highest rate that a server should serve without delays.
SHARE = 0.8
# A second of warming up both servers is not measured.
WARM_UP_S = 1.0
# Answers a second.
AT_LEAST = {"sqlite": 1200, "postgresql": 800}

# The columns of the two tables.
RATES = (
    "answered_per_s",
    "pushed_per_s",
    "pushed_ratio",
    "last_push_p50_ms",
    "last_push_p99_ms",
    "drain_s",
    "unpushed",
    "sends_ratio",
    "p99_ms_at_80",
)
COSTS = (
    "worker_ms",
    "engine_ms",
    "database_ms",
    "provider_us",
    "worker_cores",
    "engine_cores",
    "foreign_cores",
    "rest_mib",
    "peak_mib",
    "round_trip_ms",
)


def main() -> None:
    chosen = options(
        __doc__ or "", only="", database="", seconds=0.0, turns=0, delay_ms=0.0
    )
    # SIGTERM must stop the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seconds = chosen.seconds or (3.0 if chosen.quick else 6.0)
    turns = chosen.turns or (1 if chosen.quick else 3)
    report = Report("Rush: 8 clients, keep-alive; all processes share the machine")
    found: dict[Case, Figures] = {}
    try:
        for case in _cases(chosen.only, chosen.database, chosen.delay_ms, chosen.quick):
            found[case] = measure(case, seconds, turns)
    finally:
        databases.end()
    for columns in (RATES, COSTS):
        for case, figures in found.items():
            report.row(rush=str(case), **{name: figures[name] for name in columns})
    check_goals(report, found)
    report.print(as_json=chosen.json)


def _cases(only: str, database: str, delay_ms: float, quick: bool) -> list[Case]:
    if not (only or database or delay_ms):
        return QUICK if quick else [*ALL, FAR]
    shapes = only.split(",") if only else list(SHAPES)
    kinds = database.split(",") if database else list(DATABASES)
    if unknown := {*shapes, *kinds} - {*SHAPES, *DATABASES}:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}")
    return [Case(kind, SHAPES[shape], delay_ms) for kind in kinds for shape in shapes]


def measure(case: Case, seconds: float, turns: int) -> Figures:
    """All figures of a case: medians of its turns."""
    with rush_stage.running(case) as (ours, off, provider):
        round_trip_ms = provider.round_trip_ms()
        rest_mib = ours.rest_mib()
        for stage in (ours, off):
            stage.post(WARM_UP_S)
        ours.settle()
        rushes, ratios = _take_turns(case, ours, off, seconds, turns)
        figures = {name: median([one[name] for one in rushes]) for name in rushes[0]}
        rate = SHARE * figures["answered_per_s"]
        at_80 = [ours.rush(seconds, rate) for _ in range(turns)]
        repeated = ours.repeated
    for one in at_80:
        _print(f"{case}, at 80 %", one)
    if repeated:
        print(f"  {case}: {repeated} pushes were repeated", flush=True)
    return figures | {
        "sends_ratio": median(ratios),
        "p99_ms_at_80": median([one["last_push_p99_ms"] for one in at_80]),
        "rest_mib": rest_mib,
        "peak_mib": max(one["peak_mib"] for one in [*rushes, *at_80]),
        "round_trip_ms": round_trip_ms,
    }


def _take_turns(
    case: Case, ours: Stage, off: Stage, seconds: float, turns: int
) -> tuple[list[Figures], list[float]]:
    """Our figures, and the ratio of our sends to those with push off, of each turn."""
    rushes, ratios = [], []
    for turn in range(turns):
        # The order is reversed each turn, so that no position is an advantage.
        if turn % 2:
            without = off.post(seconds).per_second
            rushes.append(ours.rush(seconds))
        else:
            rushes.append(ours.rush(seconds))
            without = off.post(seconds).per_second
        ratios.append(rushes[-1]["answered_per_s"] / without)
        _print(f"{case}, turn {turn + 1}", rushes[-1] | {"off_per_s": without})
    return rushes, ratios


def _print(what: str, figures: Figures) -> None:
    shown = "  ".join(f"{name}={value:.3g}" for name, value in figures.items())
    print(f"  {what}: {shown}", flush=True)


def check_goals(report: Report, found: dict[Case, Figures]) -> None:
    for case, figures in found.items():
        if case.delay_ms:
            continue
        if case.shape in (SHAPES["8x10"], SHAPES["200x5"]):
            _check_many(report, case, figures)
        if case.shape == SHAPES["10"]:
            # One message after the other, each a round trip and a millisecond.
            most = 1000 / (figures["round_trip_ms"] + 1)
            report.goal(
                f"{case}: pushed/s x (round trip + 1 ms)",
                figures["pushed_per_s"] / most,
                at_least=0.8,
            )
    memory = max(figures["rest_mib"] for figures in found.values())
    report.goal("memory at rest in MiB", memory, at_most=130)


def _check_many(report: Report, case: Case, figures: Figures) -> None:
    """The goals of several conversations at once."""
    least = AT_LEAST[case.database]
    report.goal(f"{case}: pushed ÷ answered", figures["pushed_ratio"], at_least=0.95)
    report.goal(f"{case}: answered/s", figures["answered_per_s"], at_least=least)
    report.goal(f"{case}: sends ÷ push off", figures["sends_ratio"], at_least=0.95)
    report.goal(
        f"{case}: last push p99 in ms at 80 %", figures["p99_ms_at_80"], at_most=100
    )
    report.goal(
        f"{case}: CPU of a send in the web worker, ms",
        figures["worker_ms"],
        at_most=0.5,
    )
    if case.shape == SHAPES["200x5"]:
        report.goal(
            f"{case}: CPU of a job of 5 in the engine, ms",
            figures["engine_ms"],
            at_most=0.35,
        )


if __name__ == "__main__":
    main()
