"""The dashboard's numbers and plots, made of what the datastore has counted."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from datastore.statistics import Bucket, Delay
from web import plots
from web.plots import Series, Time


class Figures(NamedTuple):
    """What stands at the top, and the plots below it as SVG."""

    sends: int
    pushes: int
    accepted: int
    failed: int
    # Seconds from a message to the start, and to the end, of its push.
    start_s: tuple[float, ...]
    end_s: tuple[float, ...]
    plots: tuple[str, ...]


PERCENTILES = (0.5, 0.95, 0.99)


def draw(time: Time, buckets: Sequence[Bucket], delays: Sequence[Delay]) -> Figures:
    pieces = len(time.words)
    accepted, failed = sum(b.accepted for b in buckets), sum(b.failed for b in buckets)
    return Figures(
        sends=sum(b.sends for b in buckets),
        pushes=accepted + failed,
        accepted=accepted,
        failed=failed,
        start_s=percentiles([d.start_s for d in delays]),
        end_s=percentiles([d.end_s for d in delays]),
        plots=(
            plots.bars("Sends", _counts("sends", buckets, pieces), time),
            plots.bars("Pushes", _counts("accepted failed", buckets, pieces), time),
            plots.lines("From send to push (ms)", _delays(delays, pieces), time),
        ),
    )


def percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """Of the values, each by its nearest rank; empty when there are none."""
    ordered = sorted(values)
    if not ordered:
        return ()
    last = len(ordered) - 1
    return tuple(ordered[round(last * part)] for part in PERCENTILES)


def _counts(names: str, buckets: Sequence[Bucket], pieces: int) -> list[Series]:
    by_number = {bucket.number: bucket for bucket in buckets}
    return [
        Series(name, name, [getattr(by_number.get(n), name, 0) for n in range(pieces)])
        for name in names.split()
    ]


def _delays(delays: Sequence[Delay], pieces: int) -> list[Series]:
    """The middle and the slow end of when pushing began, for each piece of time."""
    by_number: dict[int, list[float]] = defaultdict(list)
    for delay in delays:
        by_number[delay.number].append(delay.start_s * 1000)
    known = {number: percentiles(values) for number, values in by_number.items()}
    return [
        Series(
            name, kind, [known[n][rank] if n in known else None for n in range(pieces)]
        )
        for rank, (name, kind) in enumerate((("p50", "middle"), ("p95", "slow")))
    ]
