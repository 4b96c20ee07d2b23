"""Latency of a send: with push off, with PushProcess, with a process per message.

    python -m benchmarks.send [--quick] [--json] [--logs]

Eight clients post as fast as they get answers, to conversations of five members with a
device each. The three servers take turns, so that all run under the same conditions,
and each turn begins when everything has been pushed. Then one client posts to
conversations of several sizes in turn, with the same pushing in the background.

`--logs` compares three other servers in the same way: without an access log, with one,
and with traces for a collector that takes them and does nothing.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from sqlalchemy import func, select

from benchmarks import push_off
from benchmarks.clients import (
    Load,
    LoadConnection,
    LoadSender,
    post_for,
    request_of,
)
from benchmarks.hosts import MeasuredServer, SandboxProcess
from benchmarks.report import Report, median, options, percentile
from datastore import Datastore, accounts, migrations
from models.base import utc_now
from models.chats import Member
from tests.support import chats

CLIENTS = 8
CONVERSATIONS = 200
MEMBERS = 5
SIZES = (2, 100, 10_000, 100_000)
# Name → the command and the settings of its server.
SERVERS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "push off": (
        ("-m", "benchmarks.push_off"),
        {"BOTTLEPOST_DISPATCHER": push_off.NAME},
    ),
    "process": (("server.py",), {}),
    "process per message": (("server.py",), {"BOTTLEPOST_PUSH_SLOTS": "0"}),
}
QUIET = {"BOTTLEPOST_ACCESS_LOG": "off"}
SERVERS_OF_LOGS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "no access log": (("server.py",), QUIET),
    "access log": (("server.py",), {}),
    "traced": (("server.py",), {**QUIET, "BOTTLEPOST_TRACING": "on"}),
}
# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = Path("var")
Figures = dict[str, float]


def main() -> None:
    chosen = options(__doc__.splitlines()[0], logs=False)
    report = Report("Sends: 8 clients, keep-alive, SQLite with synchronous=FULL")
    rounds, seconds, posts = (3, 2.0, 40) if chosen.quick else (9, 5.0, 200)
    compared = SERVERS_OF_LOGS if chosen.logs else SERVERS
    with _servers(compared) as (hosts, senders):
        loads = _take_turns(report, hosts, senders, rounds, seconds)
        figures = _sum_up(report, loads)
        if not chosen.logs:
            _judge(report, figures)
            _grow(report, hosts["process"], posts)
    report.print(as_json=chosen.json)


@contextmanager
def _servers(
    compared: Mapping[str, tuple[tuple[str, ...], dict[str, str]]],
) -> Iterator[tuple[dict[str, MeasuredServer], dict[str, list[LoadSender]]]]:
    """All three servers with the same content, and a sandbox for each of them.

    One sandbox for all would refuse provider tokens: each database has its own, and
    Apple's rules limit how often they change.
    """
    with ExitStack() as running:
        SCRATCH.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="send-", dir=SCRATCH)).resolve()
        running.callback(shutil.rmtree, scratch)
        hosts, senders = {}, {}
        collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": running.enter_context(_collector())}
        for number, (name, (command, settings)) in enumerate(compared.items()):
            run_dir = scratch / str(number)
            run_dir.mkdir()
            sandbox = SandboxProcess(run_dir / "sandbox")
            running.callback(sandbox.stop)
            senders[name] = fill(run_dir, [MEMBERS] * CONVERSATIONS)
            host = MeasuredServer(
                run_dir,
                {
                    **sandbox.environment,
                    "BOTTLEPOST_TRACING": "off",
                    **collector,
                    **settings,
                },
                *command,
            )
            running.callback(host.stop)
            hosts[name] = host
        yield hosts, senders


@contextmanager
def _collector() -> Iterator[str]:
    """The URL of a server that takes what is posted."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fill(run_dir: Path, sizes: list[int]) -> list[LoadSender]:
    """Create conversations of these sizes, with a token for one member of each."""
    store = Datastore(f"sqlite:///{run_dir}/bottlepost.db")
    migrations.upgrade(store)
    return [_conversation(store, size) for size in sizes]


def _conversation(store: Datastore, size: int) -> LoadSender:
    chat_id = chats.make_chat(store, size - 1)
    with store.write() as session:
        first = select(func.min(Member.user_id)).where(Member.chat_id == chat_id)
        user_id = session.scalars(first).one()
        token, _ = accounts.issue_token(session, user_id, utc_now())
    return LoadSender(token, chat_id)


def _take_turns(
    report: Report,
    hosts: Mapping[str, MeasuredServer],
    senders: Mapping[str, list[LoadSender]],
    rounds: int,
    seconds: float,
) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in hosts}
    for turn in range(rounds):
        # The order is reversed each turn, so that no position is an advantage.
        for name in list(hosts)[:: -1 if turn % 2 else 1]:
            host = hosts[name]
            load = post_for(seconds, host.port, senders[name], CLIENTS)
            loads[name].append(load)
            report.row(turn=turn + 1, server=name, **_figures(load))
            if name != "push off":
                host.settle()
    return loads


def _figures(load: Load) -> Figures:
    return {
        "sends_per_s": load.per_second,
        "p50_ms": percentile(load.latencies_s, 50) * 1000,
        "p99_ms": percentile(load.latencies_s, 99) * 1000,
    }


def _sum_up(
    report: Report, loads: Mapping[str, list[Load]]
) -> dict[str, list[Figures]]:
    """The medians of each server, and its ratios to the first in the same turn."""
    figures = {name: [_figures(load) for load in loads[name]] for name in loads}
    first = next(iter(figures.values()))
    for name, found in figures.items():
        report.row(
            server=name,
            **{column: median([f[column] for f in found]) for column in found[0]},
            sends_ratio=_ratio(found, first, "sends_per_s"),
            p50_ratio=_ratio(found, first, "p50_ms"),
        )
    return figures


def _judge(report: Report, figures: Mapping[str, list[Figures]]) -> None:
    ours, off = figures["process"], figures["push off"]
    sends = _ratio(ours, off, "sends_per_s")
    report.goal("sends/s with process ÷ push off", sends, at_least=0.95)
    p50 = _ratio(ours, off, "p50_ms")
    report.goal("p50 with process ÷ push off", p50, at_most=1.1)
    spread = median([f["p99_ms"] / f["p50_ms"] for f in ours])
    report.goal("p99 ÷ p50 with process", spread, at_most=5)


def _ratio(ours: list[Figures], theirs: list[Figures], column: str) -> float:
    return median([a[column] / b[column] for a, b in zip(ours, theirs, strict=True)])


def _grow(report: Report, host: MeasuredServer, posts: int) -> None:
    """Measure the latency by the size of the conversation."""
    senders = fill(host.database.parent, list(SIZES))
    connection = LoadConnection(host.port)
    took_s: dict[int, list[float]] = {size: [] for size in SIZES}
    pairs = list(zip(SIZES, senders, strict=True))
    for turn in range(posts):
        # A new order each turn, because the previous send has an effect.
        random.Random(turn).shuffle(pairs)
        for size, sender in pairs:
            took_s[size].append(connection.post(request_of(sender)))
    connection.close()
    smallest = median(took_s[SIZES[0]])
    for size, found in took_s.items():
        p50 = median(found)
        report.row(members=size, p50_ms=p50 * 1000, ratio=p50 / smallest)
    report.goal(
        f"p50 to {SIZES[-1]:,} members ÷ to {SIZES[0]}",
        median(took_s[SIZES[-1]]) / smallest,
        at_most=1.1,
    )


if __name__ == "__main__":
    main()
