"""Workers of the dispatchers that have some, and housekeeping: python -m notifier …"""

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import click

import config
from config import Settings, SettingsError, run_directory
from datastore import OUTAGES, Datastore, database_check, kind_documents, kinds
from datastore.database_check import DatabaseProblem, Unfit
from datastore.schema_check import NotMigrated
from models.errors import CallerError
from notifier import partition, prune
from notifier.process import generation

log = logging.getLogger(__name__)

DATABASE_URL = "BOTTLEPOST_DATABASE_URL"
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
def migrate() -> None:
    """Bring the database to the newest schema."""
    settings = config.from_env()
    # Imported here, because Alembic would take memory in every worker.
    migrations = import_module("datastore.migrations")
    # One line says what was done.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with _problems_reported(), closing(Datastore(settings.database_url)) as store:
        done = migrations.bring_up_to_date(store)
        if told := database_check.warning(done.after):
            log.warning("%s", told)
    if done.before == done.after:
        print(f"the database is up to date: {done.after}")
    else:
        print(
            f"the database was migrated from {done.before or 'empty'} to {done.after}"
        )


@commands.command()
def polling() -> None:
    """Watch the outbox, always on."""
    settings = _worker_settings()
    _wait_for_database(settings)
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
@click.option("--generation", "number", type=int, hidden=True)
def script(*, job_id: int, number: int | None) -> None:
    """Work through the outbox once."""
    settings = _worker_settings()
    _require_database(settings)
    _import("script_run").run(settings, job_id, number)


@commands.command()
def rq() -> None:
    """An RQ worker with a warm engine."""
    settings = _worker_settings()
    _wait_for_database(settings)
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
    settings = _worker_settings()
    if not arguments or arguments[0] == "worker":
        _wait_for_database(settings)
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
    _require_database(settings)
    with _problems_reported():
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
    _require_database(settings)
    with _problems_reported():
        try:
            is_new = partition.run(settings)
        except partition.Unsupported:
            _exit("only PostgreSQL has partitions")
    print(f"push jobs are {'now' if is_new else 'already'} partitioned by month")


@commands.command()
@click.argument("kind", default="message")
@click.option("--locale", help="The locale of the device, such as de-AT.")
@click.option(
    "--mentioned", is_flag=True, help="The device's owner is mentioned in the message."
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice(["apns", "fcm", "webpush", "email"]),
    help="One or more; all by default.",
)
@click.option("--message", type=click.File("rb"), help="A sample message as JSON.")
@click.option(
    "--file",
    "kinds_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take the kinds from this file, and not from the database.",
)
@click.option("--raw", is_flag=True, help="Print the bodies as they are, unindented.")
def preview(
    *,
    kind: str,
    locale: str | None,
    mentioned: bool,
    platforms: tuple[str, ...],
    message: BinaryIO | None,
    kinds_file: Path | None,
    raw: bool,
) -> None:
    """Print the requests of a sample message of a KIND.  [default: message]"""
    settings = config.from_env()
    # Imported here, because no other command makes pushes.
    printed = import_module("notifier.preview.printed")
    try:
        content = None if message is None else message.read()
        wanted = printed.wanted(kind, locale, mentioned, platforms, content)
        if kinds_file is None:
            defined = _kinds_of_database(settings)
        else:
            defined = kind_documents.read_file(kinds_file)
        print(printed.text(settings, defined, wanted, is_raw=raw), end="")
    except (ValueError, CallerError) as problem:
        _exit(str(problem))


def _kinds_of_database(settings: Settings) -> dict[str, dict[str, Any]]:
    _require_database(settings)
    with (
        _problems_reported(),
        closing(Datastore(settings.database_url)) as store,
        store.read() as session,
    ):
        return kinds.all(session)


def _wait_for_database(settings: Settings) -> None:
    """For a worker: it may be started before the database, and before its tables."""
    with _problems_reported(), closing(Datastore(settings.database_url)) as store:
        revision = database_check.wait_for(
            store, lambda why: log.warning("waiting for the database: %s", why)
        )
        if told := database_check.warning(revision):
            log.warning("%s", told)


def _require_database(settings: Settings) -> None:
    """For a command that ends: it says in one line what is missing, with status 1."""
    with _problems_reported(), closing(Datastore(settings.database_url)) as store:
        database_check.require(store)


@contextmanager
def _problems_reported() -> Iterator[None]:
    """A database that cannot be used ends the command with one line."""
    try:
        yield
    except Unfit as problem:
        raise SettingsError(DATABASE_URL, str(problem)) from None
    except (DatabaseProblem, NotMigrated) as problem:
        _exit(f"{DATABASE_URL}: {problem}")
    except OUTAGES as problem:
        why = str(problem).strip().partition("\n")[0]
        _exit(f"the database cannot be used: {why}")


def _exit(message: str) -> NoReturn:
    print(f"bottlepost: {message}", file=sys.stderr)
    sys.exit(1)


def main() -> None:
    run_directory.keep_private()
    try:
        commands(prog_name="python -m notifier")
    except SettingsError as problem:
        print(f"bottlepost: {problem}", file=sys.stderr)
        sys.exit(2)


def _worker_settings() -> Settings:
    """The settings, also logged: a worker keeps them until it is started again."""
    settings = config.from_env()
    log.info(generation.describe(settings))
    _protect(settings)
    return settings


def _protect(settings: Settings) -> None:
    run_directory.tighten(settings.run_dir)
    if told := run_directory.warning(settings.run_dir):
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
            f"needs {missing.name}: pip install -e '.[{extra}]'",
        ) from missing


def _manage(settings: Settings, action: str, pidfile: Path) -> int:
    daemon = _import("manager_daemon")
    wire = _import("manager_wire")
    wire.authkey(settings)
    if action == "run":
        log.info(generation.describe(settings))
        _protect(settings)
        _wait_for_database(settings)
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
    if action in ("start", "restart"):
        # Here, because the daemon can only write into its log.
        _require_database(settings)
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
