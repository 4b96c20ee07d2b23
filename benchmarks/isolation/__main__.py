"""What honest members feel of one hostile device, member or client at a time.

    python -m benchmarks.isolation [--quick] [--json] [--seconds 10] [--turns 2]
                                   [--row "floods"]

Honest members post 20 messages a second to conversations with an iPhone, an Android
phone and a browser. Their answers and pushes are timed alone, beside each hostile one,
and beside a harmless one that asks for as much. `--row` chooses rows by a part of
their name.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing

from benchmarks.isolation.honest import Honest, Seen
from benchmarks.isolation.rows import QUICK, ROWS, Row
from benchmarks.isolation.stage import Stage
from benchmarks.report import Report, options, percentile

ALONE, HARMLESS, HOSTILE = "nobody", "harmless", "hostile"
# The hostile one has begun by then.
BEGIN_S = 2.0
QUICK_S = 3.0
# How much longer honest pushes may take: times, or at least milliseconds.
TIMES, MORE_MS = 2.0, 50.0
RECOVERY_S = 5.0


def main() -> None:
    chosen = options(__doc__ or "", seconds=10.0, turns=2, row="")
    report = Report("Isolation: send → push of honest members beside a hostile one")
    names = [name for name in ROWS if chosen.row in name]
    if chosen.quick and not chosen.row:
        names = list(QUICK)
    seconds = QUICK_S if chosen.quick else chosen.seconds
    turns = 1 if chosen.quick else chosen.turns
    for name in names:
        measure(name, ROWS[name], seconds, turns, report)
    report.print(as_json=chosen.json)


def measure(name: str, row: Row, seconds: float, turns: int, report: Report) -> None:
    """Each row has a server of its own: what is left of one does not hit the next."""
    with closing(Stage()) as stage:
        honest = Honest(stage)
        honest.run(BEGIN_S)
        seen: dict[str, list[Seen]] = defaultdict(list)
        for _ in range(turns):
            seen[ALONE].append(honest.run(seconds))
            for beside, act in ((HARMLESS, row.harmless), (HOSTILE, row.hostile)):
                with act(stage):
                    time.sleep(BEGIN_S)
                    seen[beside].append(honest.run(seconds))
                seen[f"after the {beside}"].append(honest.run(RECOVERY_S))
    for beside in (ALONE, HARMLESS, HOSTILE):
        report.row(row=name, beside=beside, **_figures(seen[beside]))
    _set_goals(name, seen, report)


def _figures(turns: Sequence[Seen]) -> dict[str, float | int]:
    pushes = [each * 1000 for seen in turns for each in seen.push_s]
    answers = [each * 1000 for seen in turns for each in seen.answer_s]
    imports = [each * 1000 for seen in turns for each in seen.import_s]
    return {
        "push_p50_ms": _percentile(pushes, 50),
        "push_p99_ms": _percentile(pushes, 99),
        "answer_p99_ms": _percentile(answers, 99),
        "import_max_ms": max(imports, default=float("inf")),
        "failed": sum(seen.failed for seen in turns),
        "undelivered": sum(seen.undelivered for seen in turns),
    }


def _percentile(found: Sequence[float], percent: float) -> float:
    return percentile(found, percent) if found else float("inf")


def _set_goals(name: str, seen: dict[str, list[Seen]], report: Report) -> None:
    harmless, hostile = _figures(seen[HARMLESS]), _figures(seen[HOSTILE])
    after = _figures(seen[f"after the {HOSTILE}"])
    for what in ("push_p99_ms", "answer_p99_ms"):
        most = max(TIMES * harmless[what], harmless[what] + MORE_MS)
        report.goal(f"{name}: {what}", hostile[what], at_most=round(most, 1))
    lost = sum(each["failed"] + each["undelivered"] for each in (hostile, after))
    report.goal(f"{name}: refused, or not delivered", lost, at_most=0)
    most = max(TIMES * harmless["push_p99_ms"], harmless["push_p99_ms"] + MORE_MS)
    report.goal(
        f"{name}: push_p99_ms in the {RECOVERY_S:g} s after it",
        after["push_p99_ms"],
        at_most=round(most, 1),
    )


if __name__ == "__main__":
    main()
