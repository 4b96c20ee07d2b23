"""Plots: the tables that are drawn, and the titles of their columns."""

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import plots

TURNS = [
    {"turn": 1, "client": "ours", "pushes_per_s": 90.0},
    {"turn": 1, "client": "theirs", "pushes_per_s": 9.0},
    {"turn": 2, "client": "theirs", "pushes_per_s": 11.0},
    {"turn": 2, "client": "ours", "pushes_per_s": 110.0},
]
GROWTH = [
    {"members": 1_000, "wall_us": 65.0, "peak_mib": 80.0},
    {"members": 1_000_000, "wall_us": 11.0, "peak_mib": 82.0},
]
SUMMARY = [
    {"client": "ours", "pushes_per_s": 100.0, "first_push_ms": "-"},
    {"client": "theirs", "pushes_per_s": 10.0, "first_push_ms": 3.0},
]


def test_turns_are_drawn_as_their_medians() -> None:
    found = list(plots.tables(TURNS))

    assert found == [(["ours", "theirs"], {"pushes_per_s": [100.0, 10.0]})]


def test_turns_that_another_table_summarizes_are_left_out() -> None:
    found = list(plots.tables([*TURNS, *SUMMARY]))

    assert [labels for labels, _ in found] == [["ours", "theirs"]]
    assert found[0][1]["pushes_per_s"] == [100.0, 10.0]
    # A dash is not a time of zero.
    assert math.isnan(found[0][1]["first_push_ms"][0])


def test_each_table_has_its_own_plot() -> None:
    found = list(plots.tables([*TURNS, *GROWTH]))

    assert [labels for labels, _ in found] == [
        ["ours", "theirs"],
        ["1,000", "1,000,000"],
    ]


def test_single_row_is_not_drawn() -> None:
    assert list(plots.tables([{"messages": 5, "lost": 0}])) == []


@pytest.mark.parametrize(
    ("column", "title", "unit"),
    [
        ("pushes_per_s", "pushes", "per second"),
        ("p99_ms", "p99", "ms"),
        ("cpu_us", "cpu", "µs"),
        ("lost", "lost", ""),
    ],
)
def test_column_has_a_title_and_a_unit(column: str, title: str, unit: str) -> None:
    assert plots._title_and_unit(column) == (title, unit)


def test_plots_are_small_and_reproducible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(plots, "PLOTS", tmp_path / "plots")
    rows = {"rows": [*TURNS, *GROWTH]}

    drawn = plots.draw("engine", rows)
    before = [path.read_bytes() for path in drawn]
    plots.draw("engine", rows)

    assert [path.name for path in drawn] == ["engine.svg", "engine-2.svg"]
    assert [path.read_bytes() for path in drawn] == before
    for svg in before:
        assert len(svg) < 100_000
        assert ElementTree.fromstring(svg).tag.endswith("svg")
