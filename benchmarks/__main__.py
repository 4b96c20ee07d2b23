"""Run the benchmarks and save their results.

    python -m benchmarks [--quick] [NAME ...]

Rows and goals are written to benchmarks/results/NAME.json. If matplotlib is installed,
a plot of the table is written to docs/plots/NAME.svg.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import plots

BENCHMARKS = (
    "rush",
    "claims",
    "retention",
    "upgrade",
    "send",
    "push",
    "engine",
    "core",
    "latency",
    "memory",
    "small",
    "badge",
    "mechanisms",
    "isolation",
    "chaos",
)
# Only run when they are named: they install other people's programs.
OPTIONAL = ("others",)
# Their tables are to be read: most figures in them should be zero, or alike.
WITHOUT_PLOT = ("isolation", "chaos")
RESULTS = Path(__file__).parent / "results"
# A benchmark that hangs must not block the others.
LONGEST_S = 3600


def run(name: str, *, quick: bool) -> dict[str, Any] | None:
    """The result that the benchmark printed as its last line; None if it failed."""
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    try:
        ended = subprocess.run(
            command + ["--quick"] * quick,
            stdout=subprocess.PIPE,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"{name} did not end within {LONGEST_S} s")
        return None
    lines = ended.stdout.splitlines()
    print("\n".join(lines[:-1]), flush=True)
    if ended.returncode or not lines:
        print(f"{name} ended with {ended.returncode}")
        return None
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within a minute each")
    names = f"{', '.join(BENCHMARKS)}; only if named: {', '.join(OPTIONAL)}"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - {*BENCHMARKS, *OPTIONAL}:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    RESULTS.mkdir(exist_ok=True)
    goals: list[tuple[str, dict[str, Any]]] = []
    failed = []
    for name in chosen.names or BENCHMARKS:
        found = run(name, quick=chosen.quick)
        if found is None:
            failed.append(name)
            continue
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")
        if name not in WITHOUT_PLOT:
            plots.draw(name, found)
        goals += [(name, goal) for goal in found["goals"]]
    print("\nGoals")
    for name, goal in goals:
        mark = "met " if goal["met"] else "MISS"
        value = f"{goal['value']:.4g}"
        print(f"{mark}  {name}: {goal['name']}: {value} ({goal['goal']})")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
