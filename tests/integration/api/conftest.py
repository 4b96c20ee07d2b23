"""A house of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.limits import Limits, per_minute
from datastore import Datastore
from tests.support import databases
from tests.support.house import House, User


@pytest.fixture
def limits() -> Limits:
    """None; a test file about limits has its own."""
    return per_minute()


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Of the database; tests with ON_EVERY_DATABASE run on each."""
    return getattr(request, "param", "sqlite")


@pytest.fixture(name="house")
def fresh_house(tmp_path: Path, kind: str, limits: Limits) -> Iterator[House]:
    built = House(Datastore(databases.fresh_url(kind, tmp_path)), limits=limits)
    yield built
    built.store.close()


@pytest.fixture
def ann(house: House) -> User:
    return house.user("Ann")


@pytest.fixture
def bob(house: House) -> User:
    return house.user("Bob")


@pytest.fixture
def eve(house: House) -> User:
    """In none of the conversations."""
    return house.user("Eve")


@pytest.fixture
def chat(house: House, ann: User, bob: User) -> int:
    """A conversation that Ann owns and Bob is in."""
    return house.chat(ann, bob)
