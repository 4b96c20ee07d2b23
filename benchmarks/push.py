"""Pushes per second: our transport, h2load, node-apn, aioapns and httpx.

    python -m benchmarks.push [--quick] [--json]

All push the same payload over one TLS connection to a sink that answers 200. They
take turns, and the medians count. The libraries are in .venv-aioapns, which is created
if it is missing; h2load and node-apn are included if h2load and npm are installed. Then
our transport pushes to a peer 80 ms away, where streams and connections are the limit.

At full speed the sink is as busy as the clients, so `cpu_us`, the client's CPU time of
a push, says more about a client than pushes per second.
"""

import shutil
from collections.abc import Callable, Mapping

from benchmarks import pushing
from benchmarks.pushing import Figures, Sinks
from benchmarks.report import Report, median, options

# The limit of the protocol is streams x connections / round trip.
ROUND_TRIP_S = 0.080
CONNECTIONS = 8

# Measures a number of pushes at one of the sinks.
Client = Callable[[Sinks, int], Figures]
OURS: dict[str, Client] = {
    "transport": lambda sinks, n: pushing.ours(sinks.plain, n),
    "transport on uvloop": lambda sinks, n: pushing.ours(sinks.plain, n, "--uvloop"),
    "transport, an apns-id for each": lambda sinks, n: pushing.ours(
        sinks.plain, n, "--own-ids"
    ),
}
THEIRS: dict[str, Client] = {
    "aioapns": lambda sinks, n: pushing.foreign("aioapns_push.py", sinks.echo, n // 20),
    "httpx": lambda sinks, n: pushing.foreign("httpx_push.py", sinks.plain, n // 100),
}


def main() -> None:
    chosen = options(__doc__.splitlines()[0])
    report = Report("Pushes over one TLS connection, client and sink on one machine")
    rounds, pushes = (3, 100_000) if chosen.quick else (9, 400_000)
    clients = {**OURS, **THEIRS}
    if shutil.which("npm"):
        clients["node-apn"] = lambda sinks, n: pushing.node_apn(sinks.plain, n // 10)
    if shutil.which("h2load"):
        clients["h2load"] = lambda sinks, n: pushing.h2load(sinks.plain, n)
    with pushing.sinks() as sinks:
        _compare(report, _take_turns(report, clients, sinks, rounds, pushes))
        _push_far(report, sinks, rounds, seconds=2 if chosen.quick else 6)
    report.print(as_json=chosen.json)


def _take_turns(
    report: Report,
    clients: Mapping[str, Client],
    sinks: Sinks,
    rounds: int,
    pushes: int,
) -> dict[str, list[Figures]]:
    found: dict[str, list[Figures]] = {name: [] for name in clients}
    for turn in range(rounds):
        # The order is reversed each turn, so that no position is an advantage.
        for name in list(clients)[:: -1 if turn % 2 else 1]:
            figures = clients[name](sinks, pushes)
            found[name].append(figures)
            report.row(turn=turn + 1, client=name, **figures)
    return found


def _compare(report: Report, found: Mapping[str, list[Figures]]) -> None:
    ours = found["transport"]
    for name, figures in found.items():
        report.row(
            client=name,
            **{column: median([f[column] for f in figures]) for column in figures[0]},
            transport_times=_ratio(ours, figures, "pushes_per_s"),
        )
    if "h2load" in found:
        ratio = _ratio(ours, found["h2load"], "pushes_per_s")
        report.goal("pushes/s of the transport ÷ h2load", ratio, at_least=0.7)
    ratio = _ratio(ours, found["aioapns"], "pushes_per_s")
    report.goal("pushes/s of the transport ÷ aioapns", ratio, at_least=20)


def _ratio(ours: list[Figures], theirs: list[Figures], column: str) -> float:
    """The median of the ratios within each turn, when conditions were the same."""
    return median([a[column] / b[column] for a, b in zip(ours, theirs, strict=True)])


def _push_far(report: Report, sinks: Sinks, rounds: int, seconds: int) -> None:
    limit = sinks.streams * CONNECTIONS / ROUND_TRIP_S
    shares = []
    with pushing.far_away(sinks.narrow, ROUND_TRIP_S) as url:
        for turn in range(min(rounds, 3)):
            figures = pushing.ours(
                url,
                int(limit * seconds),
                "--connections",
                str(CONNECTIONS),
                "--warm-up",
                str(int(limit * 2)),
            )
            shares.append(figures["pushes_per_s"] / limit)
            report.row(
                turn=turn + 1,
                round_trip_ms=ROUND_TRIP_S * 1000,
                streams=sinks.streams,
                connections=CONNECTIONS,
                **figures,
                share_of_the_limit=shares[-1],
            )
    report.goal(
        "pushes/s at 80 ms ÷ (streams x connections ÷ round trip)",
        median(shares),
        at_least=0.9,
    )


if __name__ == "__main__":
    main()
