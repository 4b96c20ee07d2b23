"""A fresh, migrated database for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datastore import Datastore
from datastore.migrations import upgrade


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    store = Datastore(f"sqlite:///{tmp_path}/test.db")
    upgrade(store)
    yield store
    store.close()
