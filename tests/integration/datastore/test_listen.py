"""PostgreSQL tells a polling worker on any host that there is work."""

from pathlib import Path
from time import monotonic

from datastore import listen
from tests.support import databases


def test_a_ring_is_heard_through_another_connection(tmp_path: Path) -> None:
    with databases.fresh("postgresql", tmp_path) as store:
        news = listen.listen(store, look_s=60)
        next(news)

        with store.write() as session:
            listen.ring(session)
        started = monotonic()
        next(news)

        # It looks by itself only after a minute.
        assert monotonic() - started < 45
        news.close()


def test_sqlite_has_no_such_bell(tmp_path: Path) -> None:
    with databases.fresh("sqlite", tmp_path) as store:
        assert not listen.is_possible(store)
