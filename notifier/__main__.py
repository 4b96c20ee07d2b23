"""Workers of the dispatchers that have some, and housekeeping: python -m notifier …"""

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import config
from config import Settings, SettingsError
from datastore import OUTAGES
from notifier import partition, prune

MAX_DAYS = 36_500
FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    # A call without a command is a mistake, with status 2.
    no_args_is_help=False,
    help=__doc__,
)
def commands() -> None:
    logging.basicConfig(level=logging.INFO, format=FORMAT)


@commands.command()
def polling() -> None:
    """Watch the outbox, always on."""
    settings = config.from_env()
    _import("polling_worker").run(settings)


@commands.command()
@click.argument(
    "action", type=click.Choice(["start", "stop", "restart", "status", "run"])
)
@click.option(
    "--pidfile", type=click.Path(path_type=Path), help="Default: manager.pid, run dir."
)
def manager(*, action: str, pidfile: Path | None) -> None:
    """The manager's daemon."""
    settings = config.from_env()
    pidfile = pidfile or settings.run_dir / "manager.pid"
    sys.exit(_manage(settings, action, pidfile.resolve()))


@commands.command()
@click.argument("job_id", metavar="JOB", type=int)
def script(*, job_id: int) -> None:
    """Work through the outbox once."""
    settings = config.from_env()
    _import("script_run").run(settings, job_id)


@commands.command()
def rq() -> None:
    """An RQ worker with a warm engine."""
    settings = config.from_env()
    _import("rq_worker").run(settings)


@commands.command(
    # Everything from the first argument on is Celery's.
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
    }
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def celery(*, arguments: tuple[str, ...]) -> None:
    """Celery's command line, for example: worker -c 4."""
    settings = config.from_env()
    sys.exit(_import("celery_worker").run(settings, arguments))


@commands.command("prune")
@click.option(
    "--days",
    # The dashboard shows the last day.
    type=click.IntRange(1, MAX_DAYS),
    required=True,
    help="How long ago the jobs ended.",
)
@click.option(
    "--minutes",
    type=click.IntRange(1),
    help="Leave the rest to the next run after so long.  [default: no limit]",
)
def delete_old_rows(*, days: int, minutes: int | None) -> None:
    """Delete jobs that ended long ago, and old messages."""
    settings = config.from_env()
    with _outages_reported():
        pruned = prune.run(settings, days=days, minutes=minutes)
    if pruned.partitions:
        print(f"partitions of push jobs that are gone: {pruned.partitions}")
    print(
        f"{pruned.pushes} push jobs and {pruned.imports} imports that ended before"
        f" are gone, {pruned.messages} old messages, and {pruned.client_ids} client ids"
    )


@commands.command("partition")
def make_partitions() -> None:
    """Keep jobs in partitions by month (PostgreSQL)."""
    settings = config.from_env()
    with _outages_reported():
        try:
            is_new = partition.run(settings)
        except partition.Unsupported:
            print("bottlepost: only PostgreSQL has partitions", file=sys.stderr)
            sys.exit(1)
    print(f"push jobs are {'now' if is_new else 'already'} partitioned by month")


@contextmanager
def _outages_reported() -> Iterator[None]:
    """A database that cannot be used ends the command with one line."""
    try:
        yield
    except OUTAGES as problem:
        reason = str(problem).strip().partition("\n")[0]
        print(f"bottlepost: the database cannot be used: {reason}", file=sys.stderr)
        sys.exit(1)


def main() -> None:
    try:
        commands(prog_name="python -m notifier")
    except SettingsError as problem:
        print(f"bottlepost: {problem}", file=sys.stderr)
        sys.exit(2)


def _import(module: str) -> Any:
    """Import a worker, which may need libraries that the other workers do not."""
    try:
        return import_module(f"notifier.dispatchers.{module}")
    except ModuleNotFoundError as missing:
        # The module of the worker `rq` is rq_worker, and its extra is `rq`.
        extra = module.rpartition("_")[0]
        raise SettingsError(
            f"the worker {extra}",
            f"needs {missing.name}: pip install -e '.[{extra}]'",
        ) from missing


def _manage(settings: Settings, action: str, pidfile: Path) -> int:
    daemon = _import("manager_daemon")
    wire = _import("manager_wire")
    wire.authkey(settings)
    if action == "run":
        try:
            with daemon.holding(pidfile):
                _import("manager_server").run(settings)
        except daemon.PidfileTaken as taken:
            print(f"bottlepost: {taken}", file=sys.stderr)
            return 1
        return 0
    if action == "status":
        return int(daemon.status(pidfile))
    status = 0
    if action in ("stop", "restart"):
        status = daemon.stop(pidfile)
    if action in ("start", "restart") and status == 0:
        status = daemon.start(
            pidfile,
            settings.run_dir / "manager.log",
            lambda: (
                daemon.running_pid(pidfile) is not None
                and _listens(wire.address(settings))
            ),
        )
    return int(status)


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
