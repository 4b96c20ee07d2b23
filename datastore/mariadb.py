"""What has to be said to MariaDB that the other databases do by themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

# Its own default, REPEATABLE READ, locks gaps between rows: claims of several hosts
# would then run into deadlocks with the sends.
ISOLATION = "READ COMMITTED"
MIGRATION_LOCK = "bottlepost_migrations"
LOCK_WAIT_S = 600


def is_meant(url: URL) -> bool:
    return url.get_backend_name() in ("mysql", "mariadb")


@contextmanager
def migrating(session: Session) -> Iterator[None]:
    """Alone with the schema in this block; each statement about it commits by itself.

    Tables made here hold every character, and tell `a` from `A` where they compare:
    the server's defaults may do neither.
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
