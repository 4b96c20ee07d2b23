"""PostgreSQL wakes polling workers on any host."""

from pathlib import Path
from time import monotonic

from datastore import listen
from tests.support import databases


def test_wake_up_reaches_another_connection(tmp_path: Path) -> None:
    with databases.fresh("postgresql", tmp_path) as store:
        wake_ups = listen.listen(store, look_s=60)
        next(wake_ups)

        with store.write() as session:
            listen.ring(session)
        started = monotonic()
        next(wake_ups)

        # Without a wake-up it would yield only after a minute.
        assert monotonic() - started < 45
        wake_ups.close()


def test_sqlite_cannot_listen(tmp_path: Path) -> None:
    with databases.fresh("sqlite", tmp_path) as store:
        assert not listen.is_possible(store)
