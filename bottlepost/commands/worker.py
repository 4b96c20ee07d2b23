"""`bottlepost worker …`: the workers of the dispatchers that have some."""

import logging
import socket
import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from bottlepost.database import opened, problems_reported
from bottlepost.printed import fail
from bottlepost.settings import read as read_settings
from config import Settings, SettingsError, key_files, run_directory
from datastore import Datastore, database_check
from notifier.process import generation

log = logging.getLogger(__name__)


@click.group("worker")
def command() -> None:
    """Run a worker of the dispatcher of this name, and wait for the database.

    It needs the same settings as the web server, which wakes it. The other dispatchers
    have no workers: their web server starts what they need.
    """


@command.command()
def polling() -> None:
    """Watch the outbox, always on."""
    settings = _worker_settings("polling")
    _wait_for_database(settings)
    _import("polling_worker").run(settings)


@command.command()
@click.argument(
    "action", type=click.Choice(["start", "stop", "restart", "status", "run"])
)
@click.option(
    "--pidfile", type=click.Path(path_type=Path), help="Default: manager.pid, run dir."
)
@click.option("--log", "file", type=click.Path(path_type=Path), hidden=True)
def manager(*, action: str, pidfile: Path | None, file: Path | None) -> None:
    """Control the manager's daemon, or run the manager in the foreground.

    The status of `status` is 0 if it runs, 1 if it was killed, 3 if it was stopped.
    """
    settings = read_settings("manager", file=file)
    pidfile = pidfile or settings.run_dir / "manager.pid"
    sys.exit(_manage(settings, action, pidfile.resolve()))


@command.command()
@click.argument("job_id", metavar="JOB", type=int)
@click.option("--generation", "number", type=int, hidden=True)
@click.option("--log", "file", type=click.Path(path_type=Path), hidden=True)
def script(*, job_id: int, number: int | None, file: Path | None) -> None:
    """Work through the outbox once, beginning with a JOB."""
    settings = _worker_settings("script", file, with_keys=False)
    with opened(settings):
        pass
    _import("script_run").run(settings, job_id, number)


@command.command()
def rq() -> None:
    """Run an RQ worker with a warm engine."""
    settings = _worker_settings("rq")
    _wait_for_database(settings)
    _import("rq_worker").run(settings)


@command.command(
    # Everything from the first argument on is Celery's.
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
    }
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def celery(*, arguments: tuple[str, ...]) -> None:
    """Run Celery's command line, by default its worker; for example: worker -c 4."""
    settings = _worker_settings("celery")
    if not arguments or arguments[0] == "worker":
        _wait_for_database(settings)
    sys.exit(_import("celery_worker").run(settings, arguments))


def _worker_settings(
    process: str, file: Path | None = None, *, with_keys: bool = True
) -> Settings:
    """The settings, also logged: a worker keeps them until it is started again.

    Bad key files stop it, unless it is one of many that the web server starts: then
    the other platforms go on.
    """
    settings = read_settings(process, file=file)
    if with_keys:
        key_files.check(settings)
    log.info(generation.describe(settings))
    _protect(settings)
    return settings


def _protect(settings: Settings) -> None:
    run_directory.tighten(settings.run_dir)
    if told := run_directory.warning(settings.run_dir):
        log.warning("%s", told)


def _wait_for_database(settings: Settings) -> None:
    """A worker may be started before the database, and before its tables."""
    with problems_reported(), closing(Datastore(settings.database_url)) as store:
        revision = database_check.wait_for(
            store, lambda why: log.warning("waiting for the database: %s", why)
        )
        if told := database_check.warning(revision):
            log.warning("%s", told)


def _import(module: str) -> Any:
    """Import a worker, which may need libraries that the other workers do not."""
    try:
        return import_module(f"notifier.dispatchers.{module}")
    except ModuleNotFoundError as missing:
        # The module of the worker `rq` is rq_worker, and its extra is `rq`.
        extra = module.rpartition("_")[0]
        raise SettingsError(
            f"the worker {extra}",
            f"needs {missing.name}: pip install 'bottlepost[{extra}]'",
        ) from missing


def _manage(settings: Settings, action: str, pidfile: Path) -> int:
    daemon = _import("manager_daemon")
    wire = _import("manager_wire")
    wire.authkey(settings)
    if action in ("start", "restart", "run"):
        key_files.check(settings)
    if action == "run":
        log.info(generation.describe(settings))
        _protect(settings)
        _wait_for_database(settings)
        try:
            with daemon.holding(pidfile):
                _import("manager_server").run(settings)
        except daemon.PidfileTaken as taken:
            fail(str(taken))
        return 0
    if action == "status":
        return int(daemon.status(pidfile))
    status = 0
    if action in ("start", "restart"):
        # Here, because the daemon can only write into its log.
        with opened(settings):
            pass
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
