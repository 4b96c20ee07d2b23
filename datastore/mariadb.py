"""Settings and a migration lock that only MariaDB needs."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

# Its default, REPEATABLE READ, locks gaps between rows: claims of several hosts would
# deadlock with sends.
ISOLATION = "READ COMMITTED"
MIGRATION_LOCK = "bottlepost_migrations"
LOCK_WAIT_S = 600


def is_meant(url: URL) -> bool:
    return url.get_backend_name() in ("mysql", "mariadb")


@contextmanager
def migrating(session: Session) -> Iterator[None]:
    """Holds the lock of migrations; MariaDB commits each change of the schema at once.

    Tables that are created here store every character and compare `a` and `A` as
    different, which the server's defaults may not do.
    """
    name = {"name": MIGRATION_LOCK, "wait_s": LOCK_WAIT_S}
    session.execute(text("SELECT GET_LOCK(:name, :wait_s)"), name)
    try:
        session.execute(
            text("ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
        )
        yield
    finally:
        session.execute(text("SELECT RELEASE_LOCK(:name)"), name)
