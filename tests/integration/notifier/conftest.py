"""A migrated database, a run directory, and no process left behind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from datastore import Datastore
from tests.support import databases, push_processes

MakeSettings = Callable[..., Settings]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path) as store:
        yield store


@pytest.fixture
def make_settings(store: Datastore, tmp_path: Path) -> Iterator[MakeSettings]:
    def make(**changes: Any) -> Settings:
        values = {
            "database_url": f"sqlite:///{tmp_path}/test.db",
            "run_dir": tmp_path,
            "service_key": "a key nobody needs here",
            "push_slots": 1,
            # So long that nothing is found by chance.
            "watchdog_s": 3600.0,
        }
        return Settings(**values | changes)

    yield make
    push_processes.end_all(tmp_path)
