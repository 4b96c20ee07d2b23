"""Sends and pushes in a small and in a large database, in alternating turns.

    python -m benchmarks.tables [--quick] [--json] [--devices 20000000]
                                [--memberships 10000000] [--messages 5000000]
                                [--databases postgresql,sqlite] [--filled URL]
                                [--turns 7]

Two towns are filled (`benchmarks.town`), one of 20,000 devices and one of `--devices`.
Then one client posts to conversations of the same kinds in both, and the engine pushes
what was posted to a sink that answers 200:

- any: small conversations from all over the town; these are not pushed;
- of 5 and of 800: users who were in one conversation before;
- of busy users: 20 users who are in 500 conversations each, so a badge sums over 500.

`cpu_us` is the engine's CPU time of a push, `database_us` that of PostgreSQL (SQLite's
is part of the engine's), and `wall_us` the time. The full run needs 20 GB of disk for
each database, and some minutes to fill it; `--filled` names a database that
`benchmarks.town` has filled with the same numbers; only its kind is measured then.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from benchmarks import pushing, tables_side, town
from benchmarks.report import Report, median, options
from benchmarks.tables_side import ANY, BUSY, LARGE, SMALL, Side
from benchmarks.town import MEMBERSHIPS, MESSAGES
from benchmarks.town_plan import Town
from tests.support import databases

DATABASES = "postgresql,sqlite"
SMALL_TOWN = Town(devices=20_000, memberships=60_000, messages=5_000)
QUICK_DEVICES, QUICK_MEMBERSHIPS, QUICK_MESSAGES = 200_000, 100_000, 50_000
# Messages of each kind in a turn: enough pushes that the start of the engine counts
# little, and few enough of busy users that it reads all their badges in one look.
POSTS = {ANY: 300, SMALL: 400, LARGE: 40, BUSY: 40}
TURNS, TURNS_QUICK = 7, 2
# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = Path("var")
# By kind and by column, a value for each turn.
Found = dict[tuple[str, str], list[float]]


def main() -> None:
    chosen = options(
        __doc__ or "",
        devices=0,
        memberships=0,
        messages=0,
        databases=DATABASES,
        filled="",
        turns=0,
    )
    quick = chosen.quick
    large = Town(
        chosen.devices or (QUICK_DEVICES if quick else town.DEVICES),
        chosen.memberships or (QUICK_MEMBERSHIPS if quick else MEMBERSHIPS),
        chosen.messages or (QUICK_MESSAGES if quick else MESSAGES),
    )
    report = Report(
        f"Tables of {large.devices:,} and of {SMALL_TOWN.devices:,} devices, one client"
    )
    names = chosen.databases.split(",")
    if chosen.filled:
        names = [make_url(chosen.filled).get_backend_name()]
    with pushing.sinks() as sinks:
        for database in names:
            with _sides(report, database, large, chosen.filled) as sides:
                turns = chosen.turns or (TURNS_QUICK if quick else TURNS)
                compare(report, database, sides, sinks.plain, turns, quick=quick)
    report.print(as_json=chosen.json)


@contextmanager
def _sides(
    report: Report, database: str, large: Town, filled: str
) -> Iterator[list[Side]]:
    """The small and the large one, both of the same kind of database."""
    with ExitStack() as stack:
        SCRATCH.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="tables-", dir=SCRATCH)).resolve()
        stack.callback(shutil.rmtree, scratch)
        if database == "postgresql":
            stack.callback(databases.end)
        sides = []
        for name, plan in (("small", SMALL_TOWN), ("large", large)):
            directory = scratch / name
            directory.mkdir()
            url = filled if plan is large else ""
            if not url:
                url = databases.fresh_url(database, directory)
                town.fill(url, plan, report)
            run_dir = directory / "run"
            sides.append(stack.enter_context(tables_side.opened(url, plan, run_dir)))
        yield sides


def compare(
    report: Report,
    database: str,
    sides: list[Side],
    sink_url: str,
    turns: int,
    *,
    quick: bool,
) -> None:
    found: list[Found] = [{} for _ in sides]
    # The first turn warms up, and its figures do not count.
    for turn in range(turns + 1):
        for kind, posts in POSTS.items():
            figures = _take_turn(sides, kind, posts // (6 if quick else 1), sink_url)
            if turn:
                for mine, values in zip(found, figures, strict=True):
                    for column, value in values.items():
                        mine.setdefault((kind, column), []).append(value)
    for side, mine in zip(sides, found, strict=True):
        for kind in POSTS:
            report.row(
                database=database,
                devices=side.town.devices,
                conversations=kind,
                **{
                    column: median(mine[kind, column])
                    if (kind, column) in mine
                    else "-"
                    for column in ("p50_ms", "wall_us", "cpu_us", "database_us")
                },
            )
    _judge(report, database, sides, found)


def _take_turn(
    sides: list[Side], kind: str, posts: int, sink_url: str
) -> list[dict[str, float]]:
    """Post to all sides in turn, then push on each; the order changes every time."""
    since = [side.newest_job() for side in sides]
    took_s: list[list[float]] = [[] for _ in sides]
    places = list(range(len(sides)))
    with ExitStack() as stack:
        post = [stack.enter_context(side.connected(kind)) for side in sides]
        for number in range(posts):
            random.shuffle(places)
            for place in places:
                took_s[place].append(post[place](number))
    figures = [{"p50_ms": median(times) * 1000} for times in took_s]
    for place in places:
        if kind == ANY:
            sides[place].drop_jobs(since[place])
            continue
        pushed = sides[place].push(sink_url, since[place])
        figures[place] |= {name: pushed[name] for name in pushed if name != "pushes"}
        figures[place]["all_cpu_us"] = pushed["cpu_us"] + pushed["database_us"]
    return figures


def _judge(
    report: Report, database: str, sides: list[Side], found: list[Found]
) -> None:
    """The ratios of the large to the small one, as medians over the turns."""
    small, large = found
    sizes = f"{sides[1].town.devices:,} ÷ {sides[0].town.devices:,} devices"
    for column, words in (
        ("p50_ms", "send p50"),
        ("wall_us", "time of a push"),
        ("all_cpu_us", "CPU of a push"),
    ):
        for kind in POSTS:
            if (kind, column) in small:
                pairs = zip(large[kind, column], small[kind, column], strict=True)
                ratio = median([many / few for many, few in pairs])
                name = f"{database}: {words}, conversations {kind}, at {sizes}"
                report.goal(name, ratio, at_most=1.1)


if __name__ == "__main__":
    main()
