"""Our server and the ways in which others push behind an answer, in one run.

    python -m benchmarks.others [--quick] [--json] [--only bottlepost,celery,rq]
                                [--shape 10] [--seconds 6] [--turns 3] [--delay-ms 0]

Eight clients post as fast as they get answers, to a conversation of ten members with a
device each (`--shape 8x10`: to eight of them), and all save their messages in the same
PostgreSQL server. The rivals are plain chat servers with the same request:

    in-request        Bottle; the request pushes before it answers
    process-per-send  Bottle; the request starts a process that pushes
    celery            Bottle and Celery with Redis, a process per core
    rq                Bottle and RQ with Redis, a worker per core
    procrastinate     Bottle; the job is queued in the message's transaction, a worker
                      per core
    pg-boss           node's HTTP server, likewise; a worker per core

Bottle runs on granian, as ours does, with a process per core; ours has its default of
one. All of them take turns and push to a sink, which answers 200 at once or after
--delay-ms; at once is the best case for those that wait for the answer. A message is
done when the pushes of all other members are there; `done_per_s` counts what was done
before the last send was answered. CPU time is that of all processes of a server and
its workers for a message that was done; the database and Redis have columns of their
own.

A rival whose library is missing is left out; a full run installs procrastinate and
pg-boss, each in a directory of its own. A quick run leaves out rq, whose backlog takes
minutes.
"""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import postgresql, processes, rivals, rush_stage
from benchmarks.clients import post_for
from benchmarks.hosts import MeasuredServer
from benchmarks.provider import Arrivals, Provider
from benchmarks.report import Report, median, options, percentile, show
from benchmarks.rivals import RIVALS, RivalStage
from benchmarks.rush import SHAPES
from benchmarks.rush_stage import CLIENTS, SCRATCH, SETTINGS, Case, Figures, Shape
from datastore import Datastore, migrations
from tests.support import chats
from tests.support.redis_server import RedisServer

OURS = "bottlepost"
NAMES = (OURS, *RIVALS)
QUICK = tuple(name for name in NAMES if name != "rq")
DRAIN_S = 120.0
POLL_S = 0.1
NO_REDIS = {"redis_ms": "-"}
# Column → whether more is better.
COMPARED = {
    "answered_per_s": True,
    "done_per_s": True,
    "answer_p50_ms": False,
    "last_push_p50_ms": False,
    "cpu_ms": False,
    "database_ms": False,
}


class OurStage:
    """Our server with the dispatcher `process`, as the rivals are run."""

    redis = None

    def __init__(
        self, run_dir: Path, case: Case, database: postgresql.Server, stack: ExitStack
    ) -> None:
        run_dir.mkdir()
        self.run_dir = run_dir
        self.provider = Provider(run_dir / "provider", case.delay_ms)
        stack.callback(self.provider.stop)
        self.arrivals = Arrivals(self.provider, case.shape.members - 1)
        url = database.new_database().render_as_string(hide_password=False)
        self.database = database.pid
        self._store = Datastore(url)
        stack.callback(self._store.close)
        migrations.upgrade(self._store)
        self.senders = rush_stage.fill(self._store, case.shape)
        environment = {**SETTINGS, **self.provider.environment}
        environment["BOTTLEPOST_DATABASE_URL"] = url
        server = MeasuredServer(run_dir, environment, "server.py")
        stack.callback(server.stop)
        self.port = server.port

    def settle(self, _sent: set[int]) -> None:
        """Wait until no job is open."""
        deadline = time.monotonic() + rush_stage.SETTLE_S
        while left := chats.open_jobs(self._store):
            if time.monotonic() > deadline:
                print(f"  {self.run_dir.name}: {left} jobs are left", flush=True)
                return
            time.sleep(POLL_S)


Stage = OurStage | RivalStage


def main() -> None:
    chosen = options(
        __doc__ or "", only="", shape="10", seconds=0.0, turns=0, delay_ms=0.0
    )
    # SIGTERM must stop the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seconds = chosen.seconds or (1.0 if chosen.quick else 6.0)
    turns = chosen.turns or (1 if chosen.quick else 3)
    names, left_out = _choose(chosen.only, quick=chosen.quick)
    warm_up_s = 0.3 if chosen.quick else 1.0
    case = Case("postgresql", _shape(chosen.shape), chosen.delay_ms)
    report = Report(f"Others: 8 clients; {case}; all processes share the machine")
    with _running(names, case) as stages:
        found = _take_turns(stages, warm_up_s, seconds, turns)
    medians = {name: _medians(rushes) for name, rushes in found.items()}
    for name, figures in medians.items():
        no_redis = {} if name != OURS and RIVALS[name].redis is not None else NO_REDIS
        report.row(rival=name, **{**figures, **no_redis})
    if OURS in found:
        _set_goals(report, found)
        _print_lost(medians)
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    report.print(as_json=chosen.json)


def _shape(name: str) -> Shape:
    if name not in SHAPES:
        raise SystemExit(f"unknown: {name}; there are {', '.join(SHAPES)}")
    return SHAPES[name]


def _choose(only: str, *, quick: bool) -> tuple[list[str], dict[str, str]]:
    """What can be measured here, and why the others cannot."""
    wanted = only.split(",") if only else list(QUICK if quick else NAMES)
    if unknown := set(wanted) - set(NAMES):
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}")
    left_out = {}
    for name in wanted:
        if name != OURS and (reason := rivals.cannot_run(name, may_install=not quick)):
            left_out[name] = reason
    return [name for name in wanted if name not in left_out], left_out


@contextmanager
def _running(names: Sequence[str], case: Case) -> Iterator[dict[str, Stage]]:
    with ExitStack() as stack:
        SCRATCH.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="others-", dir=SCRATCH)).resolve()
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        database = stack.enter_context(postgresql.running())
        redis = RedisServer(scratch)
        stack.callback(redis.stop)
        stages: dict[str, Stage] = {}
        for name in names:
            run_dir = scratch / name
            if name == OURS:
                stages[name] = OurStage(run_dir, case, database, stack)
            else:
                stages[name] = RivalStage(name, run_dir, case, database, redis, stack)
        yield stages


def _take_turns(
    stages: Mapping[str, Stage], warm_up_s: float, seconds: float, turns: int
) -> dict[str, list[Figures]]:
    """The figures of each stage, turn by turn."""
    rushes: dict[str, list[Figures]] = {name: [] for name in stages}
    for name in stages:
        # This turn is not measured.
        _rush(stages[name], warm_up_s)
    for turn in range(turns):
        # The order is reversed each turn, so that no position is an advantage.
        for name in list(stages)[:: -1 if turn % 2 else 1]:
            figures = _rush(stages[name], seconds)
            rushes[name].append(figures)
            shown = "  ".join(f"{key}={show(value)}" for key, value in figures.items())
            print(f"  turn {turn + 1}, {name}: {shown}", flush=True)
    return rushes


def _medians(rushes: Sequence[Figures]) -> Figures:
    return {column: median([one[column] for one in rushes]) for column in rushes[0]}


def _rush(stage: Stage, seconds: float) -> Figures:
    """Post for some seconds, and wait until everything has been pushed."""
    before = _cpu_s(stage)
    load = post_for(seconds, stage.port, stage.senders, CLIENTS)
    complete = stage.arrivals.wait(load.message_ids, DRAIN_S)
    waited_until = time.monotonic()
    after = _cpu_s(stage)
    stage.settle(load.message_ids)
    figures = rush_stage.figures_of(load, complete, waited_until)
    # All that were answered, unless the wait was too short for them.
    done = max(len(complete), 1)
    costs = {name: (after[name] - before[name]) / done * 1000 for name in after}
    return {
        "answered_per_s": figures["answered_per_s"],
        "done_per_s": figures["pushed_per_s"],
        "done_ratio": figures["pushed_ratio"],
        "answer_p50_ms": percentile(load.latencies_s, 50) * 1000,
        "last_push_p50_ms": figures["last_push_p50_ms"],
        **costs,
        "unpushed": figures["unpushed"],
    }


def _cpu_s(stage: Stage) -> dict[str, float]:
    database, redis = (
        processes.family_cpu_s(pid) if pid else 0.0
        for pid in (stage.database, stage.redis)
    )
    return {
        "cpu_ms": processes.cpu_s(stage.run_dir),
        "database_ms": database,
        "redis_ms": redis,
    }


def _set_goals(report: Report, found: Mapping[str, Sequence[Figures]]) -> None:
    for name, theirs in found.items():
        # A rival that had done nothing when the clients stopped has no ratio.
        ratios = [
            mine["done_per_s"] / other["done_per_s"]
            for mine, other in zip(found[OURS], theirs, strict=True)
            if other["done_per_s"]
        ]
        if name != OURS and ratios:
            report.goal(f"done/s, {OURS} ÷ {name}", median(ratios), at_least=1)


def _print_lost(medians: Mapping[str, Figures]) -> None:
    """Print every figure in which a rival is better than we are."""
    print()
    ours = medians[OURS]
    for name, theirs in medians.items():
        for column in worse(ours, theirs):
            print(
                f"{name} is better than {OURS}: {column} {show(theirs[column])} "
                f"against {show(ours[column])}"
            )


def worse(ours: Figures, theirs: Figures) -> list[str]:
    """The columns in which we lose."""
    return [
        column
        for column, more_is_better in COMPARED.items()
        if (ours[column] < theirs[column]) == more_is_better
        and ours[column] != theirs[column]
    ]


if __name__ == "__main__":
    main()
