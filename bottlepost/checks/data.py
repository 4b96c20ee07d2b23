"""The database: reachable, with the right schema, writable, and its clock."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from bottlepost.checks import Finding, ok, warning, wrong
from config import Settings
from datastore import (
    OUTAGES,
    Datastore,
    database_check,
    metrics,
    provider_troubles,
    schema_check,
)
from datastore.database_check import DatabaseProblem
from datastore.outages import NotWritable
from datastore.schema_check import NotMigrated
from models.base import utc_now

VARIABLE = "BOTTLEPOST_DATABASE_URL"
# Leases compare clocks and last 30 seconds.
SKEW_S, LARGE_SKEW_S = 1.0, 10.0
OLD_S = 300.0
NTP = "let NTP set the clocks of both hosts"
_CLOCKS = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
    "mariadb": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
}


def check(settings: Settings) -> Iterator[Finding]:
    if (missing := _missing_file(settings)) is not None:
        # Opening it would create it.
        yield wrong("database", f"{missing} is not there yet", "run bottlepost migrate")
        return
    try:
        with closing(Datastore.of(settings)) as store:
            yield from _database(store)
    except DatabaseProblem as problem:
        yield wrong("database", f"{VARIABLE}: {problem}", "see docs/database.md")
    except OUTAGES as problem:
        why = str(problem).strip().partition("\n")[0]
        yield wrong("database", why, f"is {VARIABLE} right, and the server up?")


def _missing_file(settings: Settings) -> Path | None:
    try:
        url = make_url(settings.database_url)
    except ArgumentError:
        return None
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    path = Path(url.database)
    return path if path.parent.is_dir() and not path.exists() else None


def _database(store: Datastore) -> Iterator[Finding]:
    database_check.require_fit(store)
    where = store.url.set(password=None).render_as_string()
    yield ok("database", f"{where} answers")
    with store.read() as session:
        if (clock := _clock(session)) is not None:
            yield clock
    try:
        with store.read() as session:
            found = schema_check.require(session.connection())
    except NotMigrated as problem:
        reason, _, remedy = str(problem).partition(": ")
        yield wrong("schema", reason, remedy or "run bottlepost migrate")
        return
    if told := database_check.warning(found):
        yield warning("schema", told, "install the newest version here")
    else:
        yield ok("schema", f"it is the newest, {found}")
    with store.read() as session:
        yield _writable(store, session)
        yield _queue(session, utc_now())
        for trouble in provider_troubles.find_all(session):
            yield wrong(
                "pushes",
                f"{trouble.route} since {trouble.since:%Y-%m-%d %H:%M} UTC:"
                f" {trouble.reason}",
                "its pushes wait until this is repaired; see docs/providers.md",
            )


def _writable(store: Datastore, session: Session) -> Finding:
    try:
        store.check_writable(session)
    except (NotWritable, *OUTAGES) as problem:
        why = str(problem).strip().partition("\n")[0]
        return wrong("database", f"it takes no writes: {why}", "is its disk full?")
    return ok("database", "it takes writes")


def _queue(session: Session, now: datetime) -> Finding:
    age_s = metrics.oldest_due_age_s(session, now)
    if age_s > OLD_S:
        return wrong(
            "queue",
            f"a job has been due for {age_s:,.0f} s",
            "is a server or worker running with this database?",
        )
    return ok("queue", f"the oldest job that is due waits for {age_s:,.0f} s")


def _clock(session: Session) -> Finding | None:
    """The clock of a database server against ours; SQLite has ours."""
    dialect = session.connection().dialect.name
    if dialect not in _CLOCKS:
        return None
    before = time.time()
    theirs = float(session.scalar(text(_CLOCKS[dialect])) or 0)
    after = time.time()
    return skew("database", theirs - (before + after) / 2, SKEW_S, LARGE_SKEW_S)


def skew(whose: str, ahead_s: float, small_s: float, large_s: float) -> Finding:
    """How far another clock is ahead of ours."""
    direction = "ahead of" if ahead_s > 0 else "behind"
    words = f"that of the {whose} is {abs(ahead_s):.1f} s {direction} ours"
    if abs(ahead_s) >= large_s:
        return wrong("clocks", words, NTP)
    if abs(ahead_s) >= small_s:
        return warning("clocks", words, NTP)
    return ok("clocks", words)
