"""The common parts of all benchmarks: options, machine, tables and goals."""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def options(
    description: str, argv: Sequence[str] | None = None, **extra: Any
) -> argparse.Namespace:
    """`--quick`, `--json` and a benchmark's own options, given as name=default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object as the last line"
    )
    for name, default in extra.items():
        flag = "--" + name.replace("_", "-")
        if default is False:
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=type(default), default=default)
    return parser.parse_args(argv)


def machine() -> dict[str, Any]:
    """The machine on which the figures were measured."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "cpu": model,
        "memory_gib": round(pages / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


@dataclass
class Report:
    """Rows and goals, collected while a benchmark runs and printed at its end."""

    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    goals: list[dict[str, Any]] = field(default_factory=list)

    def row(self, **values: Any) -> None:
        """Add a row to the table, and print it at once to show progress."""
        self.rows.append(values)
        print("  " + "  ".join(f"{k}={show(v)}" for k, v in values.items()), flush=True)

    def goal(
        self,
        name: str,
        value: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Add a goal and whether the value meets it."""
        met = (at_least is None or value >= at_least) and (
            at_most is None or value <= at_most
        )
        goal = f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}"
        self.goals.append({"name": name, "value": value, "goal": goal, "met": met})

    def print(self, *, as_json: bool) -> None:
        print(f"\n{self.title}\n{_describe(machine())}\n")
        for block in _tables(self.rows):
            print(block + "\n")
        for goal in self.goals:
            mark = "met " if goal["met"] else "MISS"
            print(f"{mark}  {goal['name']}: {show(goal['value'])} ({goal['goal']})")
        sys.stdout.flush()
        if as_json:
            found = {"machine": machine(), "rows": self.rows, "goals": self.goals}
            print(json.dumps(found), flush=True)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def _describe(found: Mapping[str, Any]) -> str:
    return (
        f"{found['cores']} cores ({found['cpu']}), {found['memory_gib']} GiB, "
        f"{found['system']}, Python {found['python']}"
    )


def _tables(rows: Sequence[Row]) -> list[str]:
    """A table for each sequence of rows with the same columns."""
    blocks: list[list[Row]] = []
    for row in rows:
        if not blocks or blocks[-1][0].keys() != row.keys():
            blocks.append([])
        blocks[-1].append(row)
    return [_table(block) for block in blocks]


def _table(rows: Sequence[Row]) -> str:
    columns = list(rows[0])
    lines = [columns, *([show(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def show(value: Any) -> str:
    """A number with three significant digits, or all before the point."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
