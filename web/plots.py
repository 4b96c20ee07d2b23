"""Draws the dashboard's plots as SVG; colours come from the style sheet."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 560, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 12, 26
INNER_WIDTH = WIDTH - LEFT - RIGHT
INNER_HEIGHT = HEIGHT - TOP - BOTTOM
GRID_LINES = 4
# An axis is divided into steps of 1, 2 or 5 times a power of ten.
ROUND_STEPS = (1, 2, 5, 10)
# The gap between two bars, as a part of the width per bar.
BAR_GAP = 0.18


class Series(NamedTuple):
    """One value per interval, None for no value; `kind` is the CSS class."""

    name: str
    kind: str
    values: Sequence[float | None]


class TimeAxis(NamedTuple):
    """The start of each interval as text; one label in `every` is shown."""

    labels: Sequence[str]
    every: int


def bars(title: str, series: Sequence[Series], axis: TimeAxis) -> str:
    """Stacked bars, the first series at the bottom."""
    sums = [sum(v or 0 for v in column) for column in _columns(series)]
    top = round_top(max(sums, default=0), whole=True)
    slot = INNER_WIDTH / max(len(axis.labels), 1)
    parts = []
    for number, column in enumerate(_columns(series)):
        below = 0.0
        for one, value in zip(series, column, strict=True):
            if value:
                parts.append(_bar(number, slot, below / top, value / top, one.kind))
                below += value
    return _figure(title, series, _axes(axis, top), "".join(parts))


def lines(title: str, series: Sequence[Series], axis: TimeAxis) -> str:
    """A line per series with a dot at each value, interrupted where there is none."""
    known = [v for one in series for v in one.values if v is not None]
    top = round_top(max(known, default=0))
    slot = INNER_WIDTH / max(len(axis.labels), 1)
    parts = [_line(one, slot, top) for one in series]
    return _figure(title, series, _axes(axis, top), "".join(parts))


def round_top(highest: float, *, whole: bool = False) -> float:
    """The end of an axis whose grid lines are round numbers."""
    least = float(GRID_LINES) if whole or not highest else 0.004
    step = max(highest, least) / GRID_LINES
    power = 10.0 ** math.floor(math.log10(step))
    # The tolerance absorbs rounding errors of floats.
    factor = next(n for n in ROUND_STEPS if n * power >= step * 0.999999)
    return factor * power * GRID_LINES


def _bar(number: int, slot: float, below: float, height: float, kind: str) -> str:
    x = LEFT + (number + BAR_GAP / 2) * slot
    y = TOP + INNER_HEIGHT * (1 - below - height)
    size = f'width="{slot * (1 - BAR_GAP):.1f}" height="{INNER_HEIGHT * height:.1f}"'
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" {size}/>'


def _line(one: Series, slot: float, top: float) -> str:
    path, dots, is_on = "", "", False
    for number, value in enumerate(one.values):
        if value is None:
            is_on = False
            continue
        x = LEFT + (number + 0.5) * slot
        y = TOP + INNER_HEIGHT * (1 - value / top)
        path += f"{'L' if is_on else 'M'}{x:.1f} {y:.1f}"
        dots += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>'
        is_on = True
    return f'<g class="line {one.kind}"><path d="{path}"/>{dots}</g>'


def _figure(title: str, series: Sequence[Series], axes: str, shapes: str) -> str:
    legend = "".join(
        f'<li><span class="key {one.kind}"></span>{escape(one.name)}</li>'
        for one in series
    )
    return (
        f'<figure class="plot">'
        f"<figcaption>{escape(title)}<ul>{legend}</ul></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(_description(title, series))}">'
        f"{axes}{shapes}</svg></figure>"
    )


def _axes(axis: TimeAxis, top: float) -> str:
    return _grid(top) + _time_labels(axis)


def _grid(top: float) -> str:
    parts = []
    for number in range(GRID_LINES + 1):
        y = TOP + INNER_HEIGHT * (1 - number / GRID_LINES)
        label = _short(top * number / GRID_LINES)
        parts.append(
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        )
    return "".join(parts)


def _time_labels(axis: TimeAxis) -> str:
    slot = INNER_WIDTH / max(len(axis.labels), 1)
    return "".join(
        f'<text x="{LEFT + (number + 0.5) * slot:.1f}" y="{HEIGHT - 7}" '
        f'text-anchor="middle">{escape(label)}</text>'
        for number, label in enumerate(axis.labels)
        if number % axis.every == axis.every // 2
    )


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _description(title: str, series: Sequence[Series]) -> str:
    """The plot as text, for screen readers."""
    parts = []
    for one in series:
        known = [value for value in one.values if value is not None]
        highest = f"at most {max(known):,.4g}" if known else "nothing"
        parts.append(f"{one.name}: {highest}")
    return f"{title}. {'; '.join(parts)}."


def _columns(series: Sequence[Series]) -> list[tuple[float | None, ...]]:
    return list(zip(*(one.values for one in series), strict=True))
