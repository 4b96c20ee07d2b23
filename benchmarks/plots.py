"""A plot of a benchmark's table, for the documentation."""

from itertools import groupby
from pathlib import Path
from typing import Any

PLOTS = Path(__file__).parents[1] / "docs" / "plots"
Row = dict[str, Any]


def draw(name: str, found: dict[str, Any]) -> None:
    """Bars for every figure of the first table; nothing without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print("(no plot: pip install -e '.[plots]')")
        return
    matplotlib.use("svg")
    # Otherwise every run would give the drawing new ids, and the history a new file.
    matplotlib.rcParams["svg.hashsalt"] = name
    from matplotlib import pyplot

    rows = _largest_table(found["rows"])
    labels, figures = _labels_and_figures(rows)
    if not figures:
        return
    PLOTS.mkdir(exist_ok=True)
    plot, axes = pyplot.subplots(
        1,
        len(figures),
        figsize=(3.2 * len(figures) + 1.5, 0.4 * len(rows) + 1.4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, figure in zip(axes[0], figures, strict=True):
        bars = axis.barh(labels, [row[figure] for row in rows], color="#4477aa")
        axis.bar_label(bars, fmt="{:,.4g}", padding=3, fontsize=8)
        axis.set_title(figure.replace("_", " "), fontsize=9)
        axis.margins(x=0.25)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].invert_yaxis()
    plot.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})
    pyplot.close(plot)


def _largest_table(rows: list[Row]) -> list[Row]:
    tables = [list(table) for _, table in groupby(rows, key=tuple)]
    return max(tables, key=len, default=[])


def _labels_and_figures(rows: list[Row]) -> tuple[list[str], list[str]]:
    """A row is named by its words and whole small numbers; the rest is drawn."""
    if not rows:
        return [], []
    words = [name for name, value in rows[0].items() if isinstance(value, str)]
    if not words:
        words = [next(iter(rows[0]))]
    labels = [" ".join(str(row[word]) for word in words) for row in rows]
    figures = [
        name
        for name, value in rows[0].items()
        if name not in words and isinstance(value, int | float)
    ]
    return labels, figures
