"""All processes see which providers refuse our credentials."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from datastore import Datastore, provider_troubles
from notifier.engine import provider_troubles as shared_troubles
from notifier.engine.provider_troubles import SharedTroubles
from tests.support import databases
from tests.support.async_stores import on_thread


@pytest.fixture(params=databases.KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh(request.param, tmp_path) as store:
        yield store


def report(store: Datastore, route: str, reason: str | None) -> None:
    with on_thread(store) as async_store:
        asyncio.run(SharedTroubles(async_store).report(route, reason))


def noted(store: Datastore) -> list[tuple[str, str]]:
    with store.read() as session:
        return [(row.route, row.reason) for row in provider_troubles.find_all(session)]


def test_trouble_is_seen_by_others(store: Datastore) -> None:
    report(store, "apns", "InvalidProviderToken")
    report(store, "fcm", "invalid_grant")

    assert noted(store) == [
        ("apns", "InvalidProviderToken"),
        ("fcm", "invalid_grant"),
    ]


def test_a_new_reason_keeps_the_time_of_the_first(store: Datastore) -> None:
    report(store, "apns", "InvalidProviderToken")
    with store.read() as session:
        since = provider_troubles.find_all(session)[0].since

    report(store, "apns", "Forbidden")

    with store.read() as session:
        row = provider_troubles.find_all(session)[0]
    assert (row.reason, row.since) == ("Forbidden", since)


def test_the_end_of_trouble_is_seen_too(store: Datastore) -> None:
    report(store, "apns", "InvalidProviderToken")

    report(store, "apns", None)
    report(store, "fcm", None)

    assert noted(store) == []


def test_a_database_that_is_away_does_not_stop_pushes(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_troubles, "REPORT_TIMEOUT_S", 0.3)
    report(Datastore(f"sqlite:///{tmp_path}/empty.db"), "apns", "InvalidProviderToken")

    assert "could not be recorded" in caplog.text
