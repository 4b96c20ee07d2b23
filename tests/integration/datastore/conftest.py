"""A new, migrated database of each kind for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datastore import Datastore
from tests.support import databases


@pytest.fixture(params=databases.KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh(request.param, tmp_path) as store:
        yield store
