"""The dashboard's numbers and plots, computed from the datastore's statistics."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from datastore.statistics import Bucket, Delay
from web import plots
from web.plots import Series, TimeAxis


class Figures(NamedTuple):
    """The numbers at the top of the dashboard, and the plots as SVG."""

    sends: int
    pushes: int
    accepted: int
    failed: int
    # Percentiles of the seconds from a message to the start and to the end of its push.
    start_s: tuple[float, ...]
    end_s: tuple[float, ...]
    plots: tuple[str, ...]


PERCENTILES = (0.5, 0.95, 0.99)


def draw(axis: TimeAxis, buckets: Sequence[Bucket], delays: Sequence[Delay]) -> Figures:
    intervals = len(axis.labels)
    accepted, failed = sum(b.accepted for b in buckets), sum(b.failed for b in buckets)
    return Figures(
        sends=sum(b.sends for b in buckets),
        pushes=accepted + failed,
        accepted=accepted,
        failed=failed,
        start_s=percentiles([d.start_s for d in delays]),
        end_s=percentiles([d.end_s for d in delays]),
        plots=(
            plots.bars("Sends", _counts("sends", buckets, intervals), axis),
            plots.bars("Pushes", _counts("accepted failed", buckets, intervals), axis),
            plots.lines("From send to push (ms)", _delays(delays, intervals), axis),
        ),
    )


def percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """The PERCENTILES of the values by nearest rank; empty without values."""
    ordered = sorted(values)
    if not ordered:
        return ()
    last = len(ordered) - 1
    return tuple(ordered[round(last * part)] for part in PERCENTILES)


def _counts(names: str, buckets: Sequence[Bucket], intervals: int) -> list[Series]:
    by_number = {bucket.number: bucket for bucket in buckets}
    return [
        Series(
            name, name, [getattr(by_number.get(n), name, 0) for n in range(intervals)]
        )
        for name in names.split()
    ]


def _delays(delays: Sequence[Delay], intervals: int) -> list[Series]:
    """The median and the 95th percentile of the delay, for each interval."""
    by_number: dict[int, list[float]] = defaultdict(list)
    for delay in delays:
        by_number[delay.number].append(delay.start_s * 1000)
    known = {number: percentiles(values) for number, values in by_number.items()}
    return [
        Series(
            name,
            kind,
            [known[n][rank] if n in known else None for n in range(intervals)],
        )
        for rank, (name, kind) in enumerate((("p50", "middle"), ("p95", "slow")))
    ]
