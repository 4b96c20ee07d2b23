"""An API with its own database for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.rate_limits import Limits, per_minute
from datastore import Datastore
from tests.support import databases
from tests.support.chat_api import ChatApi, User


@pytest.fixture
def limits() -> Limits:
    """No limits; a test file about limits overrides this."""
    return per_minute()


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of the database; tests with ON_EVERY_DATABASE run on each."""
    return getattr(request, "param", "sqlite")


@pytest.fixture(name="chat_api")
def fresh_chat_api(tmp_path: Path, kind: str, limits: Limits) -> Iterator[ChatApi]:
    built = ChatApi(Datastore(databases.fresh_url(kind, tmp_path)), limits=limits)
    yield built
    built.store.close()


@pytest.fixture
def ann(chat_api: ChatApi) -> User:
    return chat_api.user("Ann")


@pytest.fixture
def bob(chat_api: ChatApi) -> User:
    return chat_api.user("Bob")


@pytest.fixture
def eve(chat_api: ChatApi) -> User:
    """A user in none of the conversations."""
    return chat_api.user("Eve")


@pytest.fixture
def chat(chat_api: ChatApi, ann: User, bob: User) -> int:
    """A conversation that Ann owns and Bob is in."""
    return chat_api.chat(ann, bob)
