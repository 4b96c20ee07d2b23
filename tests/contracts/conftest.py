"""One sandbox and one broker per file."""

import os
from collections.abc import Iterator

import pytest

from tests.support import rabbitmq_server, sandbox
from tests.support.rabbitmq_server import NamedServer, RabbitServer
from tests.support.redis_server import RedisServer
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
    named = os.environ[rabbitmq_server.VARIABLE]
    if named != rabbitmq_server.START:
        yield NamedServer(named)
        return
    server = RabbitServer(tmp_path_factory.mktemp("rabbitmq"))
    yield server
    server.stop()
