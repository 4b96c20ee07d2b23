"""The database of a command: opened, checked, and its problems told in one line."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from bottlepost.printed import fail
from config import Settings, SettingsError
from datastore import OUTAGES, Datastore, database_check
from datastore.database_check import DatabaseProblem, Unfit
from datastore.schema_check import NotMigrated

DATABASE_URL = "BOTTLEPOST_DATABASE_URL"


@contextmanager
def opened(settings: Settings, *, may_be_old: bool = False) -> Iterator[Datastore]:
    """The datastore of a command that needs the newest schema, or any at all."""
    with problems_reported(), closing(Datastore(settings.database_url)) as store:
        if not may_be_old or database_check.revision(store) is None:
            database_check.require(store)
        yield store


@contextmanager
def problems_reported() -> Iterator[None]:
    """A database that cannot be used ends the command with one line."""
    try:
        yield
    except Unfit as problem:
        raise SettingsError(DATABASE_URL, str(problem)) from None
    except (DatabaseProblem, NotMigrated) as problem:
        fail(f"{DATABASE_URL}: {problem}")
    except OUTAGES as problem:
        why = str(problem).strip().partition("\n")[0]
        fail(f"the database cannot be used: {why}")
