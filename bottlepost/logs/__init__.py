"""The log of every process: one format, and nothing in it that is secret.

`own` is for processes of ours, where all records are ours to format. `foreign` is for
web servers of others: it formats the records of our modules, and leaves the loggers of
the host, and those of its other applications, alone.
"""

import logging
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from bottlepost.logs import safe
from bottlepost.logs.file import LogFile
from bottlepost.logs.lines import Format, format_of

# The roots of our loggers' names.
OURS = (
    "api",
    "bottlepost",
    "config",
    "datastore",
    "host",
    "models",
    "notifier",
    "server",
    "web",
)
# For granian, which would write lines of its own form: its records reach the root.
OF_GRANIAN: dict[str, Any] = {
    "formatters": {},
    "handlers": {},
    "loggers": {
        "_granian": {"handlers": [], "propagate": True},
        "granian.access": {"handlers": [], "propagate": True},
    },
}
# It is written whatever the level is.
AUDIT = "bottlepost.audit"

log = logging.getLogger(__name__)


class LogSettings(Protocol):
    """The settings of the log."""

    @property
    def log_format(self) -> str: ...

    @property
    def log_level(self) -> str: ...

    @property
    def secrets(self) -> Collection[str]: ...


class Stderr(logging.Handler):
    """Writes to what is the process's stderr now: some hosts replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            # Without a stderr that takes it, there is no place to complain.
            return


def own(process: str, settings: LogSettings, *, file: Path | None = None) -> Format:
    """Format all records of this process, to a file of ours or to stderr."""
    handler = Stderr() if file is None else LogFile(file)
    used = form(process, settings)
    handler.setFormatter(used)
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, Stderr | LogFile):
            # Of the process that this one was forked from.
            root.removeHandler(old)
    root.addHandler(handler)
    # The details of libraries are not checked for what they tell.
    root.setLevel(max(_level(settings), logging.INFO))
    # One line of ours says what was migrated.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for name in OURS:
        ours = logging.getLogger(name)
        ours.handlers.clear()
        ours.propagate = True
        ours.setLevel(_level(settings))
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _log_uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_uncaught_in_thread
    return used


def foreign(process: str, settings: LogSettings) -> None:
    """Format our records only, in a process of another program."""
    handler = Stderr()
    handler.setFormatter(form(process, settings))
    for name in OURS:
        ours = logging.getLogger(name)
        ours.handlers[:] = [handler]
        ours.propagate = False
        ours.setLevel(_level(settings))
    logging.getLogger(AUDIT).setLevel(logging.INFO)


def form(process: str, settings: LogSettings) -> Format:
    """The format of the settings; their secrets are hidden from now on."""
    safe.hide(settings.secrets)
    return format_of(settings.log_format, process)


def handlers() -> list[logging.Handler]:
    """All handlers that may write our records; a fork has to wait for their locks."""
    found = [*logging.getLogger().handlers, logging.lastResort]
    for name in OURS:
        found += logging.getLogger(name).handlers
    return [each for each in dict.fromkeys(found) if each is not None]


def _level(settings: LogSettings) -> int:
    return logging.getLevelNamesMapping()[settings.log_level.upper()]


def _log_uncaught(kind: type[BaseException], problem: BaseException, _: Any) -> None:
    # Python's own hook would print the message as it is.
    if issubclass(kind, KeyboardInterrupt):
        log.info("interrupted")
    else:
        log.critical("the process ends", exc_info=problem)


def _log_uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    if not issubclass(found.exc_type, SystemExit):
        name = found.thread.name if found.thread else "a thread"
        log.error("%s ends", name, exc_info=found.exc_value)
