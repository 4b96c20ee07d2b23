"""Plots drawn on the server."""

import re
from xml.etree import ElementTree

import pytest

from web import plots
from web.dashboard_figures import percentiles
from web.plots import Series, TimeAxis

THREE = TimeAxis(["10:00", "10:01", "10:02"], 1)


def drawn(figure: str, tag: str) -> list[dict[str, str]]:
    """The attributes of all elements with this tag; the SVG must be well-formed."""
    return [element.attrib for element in ElementTree.fromstring(figure).iter(tag)]


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 4), (1, 4), (4, 4), (5, 8), (17, 20), (21, 40), (400, 400), (401, 800)],
)
def test_an_axis_of_counts_ends_on_a_round_number(highest, top):
    assert plots.round_top(highest, whole=True) == top


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 4), (0.3, 0.4), (0.012, 0.02), (7, 8)]
)
def test_an_axis_of_times_does_so_too(highest, top):
    assert plots.round_top(highest) == pytest.approx(top)


def test_bars_stand_on_one_another():
    series = [
        Series("taken", "accepted", [2, 0, 4]),
        Series("lost", "failed", [2, 0, 0]),
    ]

    first, lost, last = drawn(plots.bars("Pushes", series, THREE), "rect")

    assert (first["class"], lost["class"], last["class"]) == (
        "accepted",
        "failed",
        "accepted",
    )
    assert first["height"] == lost["height"]
    assert float(lost["y"]) + float(lost["height"]) == pytest.approx(float(first["y"]))
    assert float(last["height"]) == pytest.approx(2 * float(first["height"]), abs=0.11)


def test_a_line_has_a_gap_where_nothing_is_known():
    figure = plots.lines("Delay", [Series("p50", "middle", [1.0, None, 3.0])], THREE)

    paths = [p["d"] for p in drawn(figure, "path") if "class" not in p]

    assert re.sub("[^ML]", "", paths[0]) == "MM"
    assert len(drawn(figure, "circle")) == 2


def test_an_empty_plot_is_a_plot():
    figure = plots.lines("Delay", [Series("p50", "middle", [None] * 3)], THREE)

    assert len(drawn(figure, "svg")) == 1
    assert "p50: nothing" in figure


def test_a_plot_has_a_text_for_screen_readers():
    figure = plots.bars("A & B", [Series("<sends>", "sends", [1, 2500, 3])], THREE)

    (svg,) = drawn(figure, "svg")
    assert svg["role"] == "img"
    assert svg["aria-label"] == "A & B. <sends>: at most 2,500."


def test_percentiles_are_values_that_were_measured():
    assert percentiles([3, 1, 2]) == (2, 3, 3)
    assert percentiles(range(101)) == (50, 95, 99)
    assert percentiles([]) == ()
