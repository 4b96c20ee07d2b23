"""One sandbox and one broker for every dispatcher."""

import os
from collections.abc import Iterator

import pytest

from tests.support import rabbitmq as rabbitmqs
from tests.support import sandbox
from tests.support.rabbitmq import NamedServer, RabbitServer
from tests.support.redis import RedisServer
from tests.support.sandbox import Sandbox


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def rabbitmq(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RabbitServer | NamedServer]:
    named = os.environ[rabbitmqs.VARIABLE]
    if named != rabbitmqs.START:
        yield NamedServer(named)
        return
    server = RabbitServer(tmp_path_factory.mktemp("rabbitmq"))
    yield server
    server.stop()
