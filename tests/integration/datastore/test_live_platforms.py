"""Which platforms the processes of all hosts are set up for."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from config import Settings
from datastore import Datastore, live_platforms
from models.base import utc_now
from notifier.process.watchdog import Watchdog
from tests.support import databases
from tests.support.query_plans import statements_of
from tests.support.wait import until


@pytest.fixture(params=databases.KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path):
    with databases.fresh(request.param, tmp_path) as store:
        yield store


def live(store: Datastore, **later: float) -> frozenset[str]:
    with store.read() as session:
        return live_platforms.find(session, utc_now() + timedelta(**later))


def test_a_platform_lives_as_long_as_somebody_says_so(store: Datastore) -> None:
    now = utc_now()
    live_platforms.announce(store, ["apns", "fcm"], now)

    assert live(store) == {"apns", "fcm"}
    assert live(store, minutes=14) == {"apns", "fcm"}
    assert live(store, minutes=16) == frozenset()

    live_platforms.announce(store, ["apns"], now + timedelta(minutes=10))
    assert live(store, minutes=16) == {"apns"}
    # A clock that was far ahead keeps nobody alive.
    assert live(store, days=-1) == frozenset()


def test_who_says_it_again_soon_writes_nothing(store: Datastore) -> None:
    now = utc_now()
    live_platforms.announce(store, ["apns"], now)

    def again() -> None:
        live_platforms.announce(store, ["apns"], now + timedelta(minutes=1))

    statements = [sql for sql, _ in statements_of(store, again)]
    assert [sql for sql in statements if not sql.lstrip().startswith("SELECT")] == []


def test_many_may_say_it_at_once(store: Datastore) -> None:
    begin = threading.Barrier(4)

    def announce() -> None:
        begin.wait()
        live_platforms.announce(store, ["apns", "email"], utc_now())

    threads = [threading.Thread(target=announce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert live(store) == {"apns", "email"}


def test_a_watchdog_says_what_its_host_is_set_up_for(tmp_path: Path) -> None:
    with databases.fresh("sqlite", tmp_path) as store:
        settings = Settings(
            database_url=store.url.render_as_string(hide_password=False),
            run_dir=tmp_path,
            service_key="a key nobody needs here",
            push_slots=1,
            vapid_subject="mailto:ops@example.org",
        )
        watchdog = Watchdog(settings, lambda: None)
        try:
            until(lambda: live(store) == {"webpush"})
        finally:
            watchdog.close()
