"""The faults: each strikes a stage once and has ended when it returns."""

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from benchmarks.chaos.databases import PostgresDatabase
from benchmarks.chaos.machine import Machine, send
from benchmarks.chaos.stage import LEASE_S, Stage, attempt

# Beyond the lease, so that another engine takes over meanwhile.
STOPPED_S = (1.1 * LEASE_S, 1.6 * LEASE_S)
# A host that is dead for less or for more than a lease.
DEAD_S = (0.0, 1.5 * LEASE_S)
SHORT_S = (0.2, 1.0)
HOUR_S = 3600
MOVED_S = (0.5, 2.5)
INJECTED_S = (0.5, 1.5)
INJECTED_SHARE = 0.5
# Some faults meet nothing.
SPARE = 3


def _pause(stage: Stage, between: tuple[float, float]) -> None:
    time.sleep(stage.rng.uniform(*between))


def _kill(pids: Sequence[int]) -> bool:
    for pid in pids:
        send(pid, signal.SIGKILL)
    return bool(pids)


def _stop(stage: Stage, pids: Sequence[int]) -> bool:
    """SIGSTOP beyond the lease, then SIGCONT."""
    for pid in pids:
        send(pid, signal.SIGSTOP)
    if pids:
        _pause(stage, STOPPED_S)
    for pid in pids:
        send(pid, signal.SIGCONT)
    return bool(pids)


def _engines(stage: Stage) -> list[int]:
    """One or all engines of a host."""
    found = stage.any_machine().engines(stage.watcher.lease_owners)
    return found if stage.rng.random() < 0.5 else found[:1]


def kill_web_workers(stage: Stage) -> bool:
    return _kill(stage.any_machine().web_workers())


def stop_web_workers(stage: Stage) -> bool:
    return _stop(stage, stage.any_machine().web_workers())


def kill_engine(stage: Stage) -> bool:
    return _kill(_engines(stage))


def stop_engine(stage: Stage) -> bool:
    return _stop(stage, _engines(stage))


def kill_fork_server(stage: Stage) -> bool:
    return _kill(stage.any_machine().helpers())


def stop_fork_server(stage: Stage) -> bool:
    return _stop(stage, stage.any_machine().helpers())


def kill_sandbox(stage: Stage) -> bool:
    stage.sandbox.kill()
    _pause(stage, SHORT_S)
    attempt(stage.start_provider)
    return True


def stop_sandbox(stage: Stage) -> bool:
    return _stop(stage, [stage.sandbox.pid])


def kill_host(stage: Stage) -> bool:
    """All processes of one host; an older one comes back with the newest code."""
    struck = stage.any_machine()
    struck.kill()
    _pause(stage, DEAD_S)
    _start(struck)
    return True


def _start(machine: Machine) -> None:
    machine.upgrade_if_older()
    machine.supervise()


def kill_everything(stage: Stage) -> bool:
    for machine in stage.machines:
        machine.kill()
    stage.sandbox.kill()
    if stage.broker is not None:
        stage.broker.stop()
        attempt(stage.broker.start)
    attempt(stage.start_provider)
    for machine in stage.machines:
        _start(machine)
    return True


def end_backends(stage: Stage) -> bool:
    return _postgres(stage).end_backends(stage.rng)


def kill_backend(stage: Stage) -> bool:
    return _postgres(stage).kill_backend(stage.rng)


def restart_postmaster(stage: Stage) -> bool:
    database = _postgres(stage)
    database.shut_down()
    _pause(stage, SHORT_S)
    attempt(database.start)
    return True


def freeze_network(stage: Stage) -> bool:
    proxy = _postgres(stage).proxy
    proxy.freeze()
    _pause(stage, STOPPED_S)
    proxy.thaw()
    return True


def lose_connections(stage: Stage) -> bool:
    """The database's machine dies without a word, and another one takes its place."""
    proxy = _postgres(stage).proxy
    proxy.freeze()
    _pause(stage, STOPPED_S)
    proxy.thaw_new()
    return True


def inject_40001(stage: Stage) -> bool:
    database = _postgres(stage)
    database.inject(INJECTED_SHARE)
    _pause(stage, INJECTED_S)
    database.inject(0)
    return True


def fill_disk(stage: Stage) -> bool:
    stage.database.disk.fill()
    _pause(stage, INJECTED_S)
    attempt(stage.database.recover)
    return True


def move_clock(stage: Stage) -> bool:
    """One host is an hour ahead, or behind, for a while."""
    moved = stage.rng.choice(stage.clocks)
    moved.set(stage.rng.choice((HOUR_S, -HOUR_S)))
    _pause(stage, MOVED_S)
    moved.set(0)
    return True


def kill_broker(stage: Stage) -> bool:
    assert stage.broker is not None
    stage.broker.stop()
    _pause(stage, SHORT_S)
    attempt(stage.broker.start)
    return True


def stop_broker(stage: Stage) -> bool:
    assert stage.broker is not None
    stage.broker.hang()
    _pause(stage, STOPPED_S)
    with suppress(ProcessLookupError):
        stage.broker.resume()
    return True


def _postgres(stage: Stage) -> PostgresDatabase:
    assert isinstance(stage.database, PostgresDatabase)
    return stage.database


def _always(_: Stage) -> bool:
    return True


def _has_postgresql(stage: Stage) -> bool:
    return isinstance(stage.database, PostgresDatabase)


def _has_fork_server(stage: Stage) -> bool:
    return stage.part.dispatcher in ("process", "pool")


def _has_broker(stage: Stage) -> bool:
    return stage.broker is not None


def _has_small_disk(stage: Stage) -> bool:
    return stage.database.disk.is_mounted


def _has_clock(stage: Stage) -> bool:
    return bool(stage.clocks)


class Fault(NamedTuple):
    """A fault, how often it is chosen, and whether it can be made here."""

    # Whether it met something; a process may just not be running.
    strike: Callable[[Stage], bool]
    weight: int
    fits: Callable[[Stage], bool] = _always
    # Devices may answer "later", or nothing, because of it.
    hits_provider: bool = False
    # Leases compare the clocks of hosts.
    voids_leases: bool = False


CLOCK = "clock"
FAULTS = {
    "kill engine": Fault(kill_engine, 4),
    "stop engine": Fault(stop_engine, 3),
    "kill web worker": Fault(kill_web_workers, 3),
    "stop web worker": Fault(stop_web_workers, 1),
    "kill fork server": Fault(kill_fork_server, 1, _has_fork_server),
    "stop fork server": Fault(stop_fork_server, 1, _has_fork_server),
    "kill provider": Fault(kill_sandbox, 1, hits_provider=True),
    "stop provider": Fault(stop_sandbox, 1, hits_provider=True),
    "kill host": Fault(kill_host, 2),
    # The provider is there again before any engine is.
    "kill everything": Fault(kill_everything, 1),
    "end backends": Fault(end_backends, 2, _has_postgresql),
    "kill backend": Fault(kill_backend, 1, _has_postgresql),
    "restart postmaster": Fault(restart_postmaster, 1, _has_postgresql),
    "freeze network": Fault(freeze_network, 2, _has_postgresql),
    "lose connections": Fault(lose_connections, 1, _has_postgresql),
    "inject 40001": Fault(inject_40001, 2, _has_postgresql),
    "full disk": Fault(fill_disk, 1, _has_small_disk),
    CLOCK: Fault(move_clock, 2, _has_clock, voids_leases=True),
    "kill broker": Fault(kill_broker, 2, _has_broker),
    "stop broker": Fault(stop_broker, 1, _has_broker),
}


def plan(stage: Stage, strikes: int, only: Sequence[str] = ()) -> list[str]:
    """The faults that fit, in a random order and more than needed.

    Each of them comes once before the weights count, so that a short part has many.
    """
    fitting = [
        name
        for name, fault in FAULTS.items()
        if (not only or name in only) and fault.fits(stage)
    ]
    bag = [name for name in fitting for _ in range(FAULTS[name].weight)]
    planned: list[str] = []
    while bag and len(planned) < strikes * SPARE:
        planned += stage.rng.sample(fitting, len(fitting))
        planned += stage.rng.sample(bag, len(bag))
    return planned
