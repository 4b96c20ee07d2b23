"""Plots of the benchmarks' tables, for the documentation."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.report import show

PLOTS = Path(__file__).parents[1] / "docs" / "plots"
Row = Mapping[str, Any]

# Without a background, in colours that are legible on white and on black.
BARS, INK = "#4c8fd6", "#808890"
# Columns that name a row although they are numbers.
NAMES = ("members", "pushes", "round_trip_ms")
UNITS = {
    "ms": "ms",
    "us": "µs",
    "mib": "MiB",
    "per_s": "per second",
    "ratio": "÷ the first",
    "times": "times",
    "members": "members",
}
# A larger ratio of bars needs a logarithmic axis.
LINEAR_UP_TO = 50


def draw(name: str, found: Mapping[str, Any]) -> list[Path]:
    """An SVG for each table that compares rows; none without matplotlib."""
    try:
        import matplotlib  # noqa: F401 - an extra
    except ImportError:
        print("(no plots: pip install -e '.[plots]')")
        return []
    drawn = []
    for labels, figures in tables(found["rows"]):
        number = f"-{len(drawn) + 1}" if drawn else ""
        path = PLOTS / f"{name}{number}.svg"
        _draw(path, labels, figures)
        drawn.append(path)
    return drawn


def tables(rows: Sequence[Row]) -> Iterator[tuple[list[str], dict[str, list[float]]]]:
    """Tables to draw, as labels of rows and columns of figures.

    Turns are drawn as their medians, unless another table summarizes them.
    """
    found = [list(table) for _, table in groupby(rows, key=tuple)]
    summarized = {next(iter(table[0])) for table in found}
    for table in found:
        names = _names(table)
        if "turn" in table[0] and summarized & set(names):
            continue
        labelled: dict[str, list[Row]] = {}
        for row in table:
            label = " ".join(show(row[name]) for name in names)
            labelled.setdefault(label, []).append(row)
        figures = {
            column: [_median(same, column) for same in labelled.values()]
            for column in table[0]
            if column not in (*names, "turn") and _is_figure(table, column)
        }
        if len(labelled) > 1 and figures:
            yield list(labelled), figures


def _names(table: Sequence[Row]) -> list[str]:
    columns = [column for column in table[0] if column != "turn"]
    words = [c for c in columns if all(isinstance(row[c], str) for row in table)]
    return words or [c for c in columns if c in NAMES] or columns[:1]


def _is_figure(table: Sequence[Row], column: str) -> bool:
    """Whether any row has a number; the others have a dash."""
    return any(isinstance(row[column], int | float) for row in table)


def _median(rows: Sequence[Row], column: str) -> float:
    values = [row[column] for row in rows if isinstance(row[column], int | float)]
    return float(statistics.median(values)) if values else math.nan


def _draw(
    path: Path, labels: Sequence[str], figures: Mapping[str, list[float]]
) -> None:
    import matplotlib

    matplotlib.use("svg")
    # Otherwise every run would create new ids, and so a changed file.
    matplotlib.rcParams["svg.hashsalt"] = path.stem
    from matplotlib import pyplot

    colours = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color")
    style: dict[str, Any] = dict.fromkeys((*colours, "ytick.color"), INK)
    # Text as text, not as paths: smaller, and it can be searched.
    style |= {"font.size": 8, "svg.fonttype": "none"}
    across = min(len(figures), 3)
    down = -(-len(figures) // across)
    with pyplot.rc_context(style):
        plot, axes = pyplot.subplots(
            down,
            across,
            figsize=(2.8 * across + 1.4, down * (0.28 * len(labels) + 0.9)),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, (column, values) in zip(axes.flat, figures.items(), strict=False):
            _draw_column(axis, labels, column, values)
        for unused in axes.flat[len(figures) :]:
            unused.set_visible(False)
        axes[0][0].invert_yaxis()
        path.parent.mkdir(exist_ok=True)
        plot.savefig(path, transparent=True, metadata={"Date": None})
        pyplot.close(plot)


def _draw_column(
    axis: Any, labels: Sequence[str], column: str, values: Sequence[float]
) -> None:
    bars = axis.barh(labels, values, color=BARS, height=0.7)
    # Without a number there is neither a bar nor a label.
    words = ["" if math.isnan(value) else show(value) for value in values]
    axis.bar_label(bars, words, padding=3)
    title, unit = _title_and_unit(column)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(unit)
    positive = [value for value in values if value > 0]
    if positive and max(positive) > LINEAR_UP_TO * min(positive):
        axis.set_xscale("log")
        # A logarithmic axis has no zero, so the bars need another start.
        axis.set_xlim(min(positive) / 2, max(positive) * 8)
        axis.set_xlabel(f"{unit} (logarithmic)".strip())
    else:
        axis.set_xlim(0, max([*positive, 1e-9]) * 1.35)
        axis.locator_params(axis="x", nbins=4)
    axis.spines[["top", "right"]].set_visible(False)


def _title_and_unit(column: str) -> tuple[str, str]:
    for ending, unit in UNITS.items():
        if column == ending or column.endswith("_" + ending):
            title = column.removesuffix(ending).rstrip("_") or column
            return title.replace("_", " "), unit
    return column.replace("_", " "), ""
