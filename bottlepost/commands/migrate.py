"""`bottlepost migrate`."""

import logging
import sys
from contextlib import closing

import click

from bottlepost.database import problems_reported
from bottlepost.logs import audit
from bottlepost.printed import Output, as_json, progress
from bottlepost.settings import read as read_settings
from datastore import Datastore, database_check, migrations, schema_check

log = logging.getLogger(__name__)


@click.command("migrate")
@click.option(
    "--check",
    is_flag=True,
    help="Change nothing; status 1 if something is missing, and say what.",
)
@as_json
def command(*, check: bool, is_json: bool) -> None:
    """Bring the database to the newest schema.

    Servers and workers may go on meanwhile, and several of these commands may run at
    once: one of them migrates.
    """
    settings = read_settings("migrate")
    output = Output(is_json=is_json)
    # One line says what was done.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with problems_reported(), closing(Datastore(settings.database_url)) as store:
        if check:
            is_complete = _check(store, output)
            sys.exit(0 if is_complete else 1)
        _migrate(store, output)


def _migrate(store: Datastore, output: Output) -> None:
    found = database_check.revision(store)
    missing = schema_check.missing(found)
    with progress("migrating", len(missing)) as tell:
        done = migrations.bring_up_to_date(store, lambda _: tell(1))
    if told := database_check.warning(done.after):
        log.warning("%s", told)
    if done.before == done.after:
        words = f"the database is up to date: {done.after}"
    else:
        before = done.before or "empty"
        audit.command("migrate", before=before, after=str(done.after))
        words = f"the database was migrated from {before} to {done.after}"
    output.done(words, before=done.before, after=done.after)


def _check(store: Datastore, output: Output) -> bool:
    """Say which migrations are missing; returns whether there are none."""
    found = database_check.revision(store)
    newest = schema_check.newest()
    missing = [step._asdict() for step in schema_check.missing(found)]
    facts = {"found": found, "needed": newest, "missing": missing}
    if not missing:
        output.done(f"the database is up to date: {found}", **facts)
        return True
    lines = [f"  {step['revision']}  {step['title']}" for step in missing]
    has = "no tables" if found is None else f"the schema {found}"
    head = f"the database has {has}, and this version needs {newest}; missing:"
    output.done("\n".join([head, *lines]), **facts)
    return False
