"""`bottlepost` on an empty database of each kind."""

from collections.abc import Iterator

import pytest

from datastore import Datastore
from tests.support import databases
from tests.support.commands import Commands


@pytest.fixture(params=databases.KINDS)
def store(request, tmp_path) -> Iterator[Datastore]:
    with databases.fresh(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def run(store, tmp_path) -> Commands:
    return Commands(tmp_path, store.url.render_as_string(hide_password=False))
