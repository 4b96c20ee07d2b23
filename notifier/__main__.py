"""Workers of the dispatchers that have some, and housekeeping: python -m notifier …"""

import argparse
import logging
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import config
from config import Settings, SettingsError
from datastore import OUTAGES
from notifier import prune

MOST_DAYS = 36_500
FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


def main(argv: list[str] | None = None) -> int:
    arguments, rest = _parser().parse_known_args(argv)
    if rest and arguments.worker != "celery":
        _parser().error(f"unknown arguments: {' '.join(rest)}")
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    try:
        return _run(config.from_env(), arguments, rest)
    except SettingsError as problem:
        print(f"bottlepost: {problem}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m notifier", description=__doc__)
    workers = parser.add_subparsers(dest="worker", required=True, metavar="command")
    workers.add_parser("polling", help="watch the outbox, always on")
    manager = workers.add_parser("manager", help="the manager's daemon")
    manager.add_argument(
        "action", choices=["start", "stop", "restart", "status", "run"]
    )
    manager.add_argument("--pidfile", type=Path, help="default: manager.pid, run dir")
    script = workers.add_parser("script", help="work through the outbox once")
    script.add_argument("job_id", type=int, metavar="JOB")
    pruner = workers.add_parser("prune", help="delete jobs that ended long ago")
    pruner.add_argument("--days", type=_days, required=True, help="how long ago")
    workers.add_parser("rq", help="an RQ worker with a warm engine")
    workers.add_parser("celery", help="Celery's command line, for example: worker -c 4")
    return parser


def _days(text: str) -> int:
    days = int(text)
    # The dashboard shows the last day.
    if not 1 <= days <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be 1 to {MOST_DAYS:,}")
    return days


def _run(settings: Settings, arguments: argparse.Namespace, rest: list[str]) -> int:
    match arguments.worker:
        case "manager":
            pidfile = arguments.pidfile or settings.run_dir / "manager.pid"
            return _manager(settings, arguments.action, pidfile.resolve())
        case "prune":
            return _prune(settings, arguments.days)
        case "script":
            _import("script_run").run(settings, arguments.job_id)
        case "celery":
            return int(_import("celery_worker").run(settings, rest))
        case "rq":
            _import("rq_worker").run(settings)
        case _:
            _import("polling_worker").run(settings)
    return 0


def _prune(settings: Settings, days: int) -> int:
    try:
        pushes, imports = prune.run(settings, days=days)
    except OUTAGES as problem:
        reason = str(problem).strip().partition("\n")[0]
        print(f"bottlepost: the database cannot be used: {reason}", file=sys.stderr)
        return 1
    print(f"{pushes} push jobs and {imports} imports that ended before are gone")
    return 0


def _import(module: str) -> Any:
    """Each worker needs libraries that the others may not have."""
    try:
        return import_module(f"notifier.dispatchers.{module}")
    except ModuleNotFoundError as missing:
        extra = module.split("_", maxsplit=1)[0]
        raise SettingsError(
            f"the worker {extra}",
            f"needs {missing.name}: pip install -e '.[{extra}]'",
        ) from missing


def _manager(settings: Settings, action: str, pidfile: Path) -> int:
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
    sys.exit(main())
