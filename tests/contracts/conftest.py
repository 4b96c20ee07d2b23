"""The services of the contract tests: sandbox, brokers and push providers."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.support import email_service, rabbitmq_server, sandbox, webpush_service
from tests.support.channel_service import ChannelService
from tests.support.email_service import EmailService
from tests.support.rabbitmq_server import NamedServer, RabbitServer
from tests.support.redis_server import RedisServer
from tests.support.sandbox import Sandbox
from tests.support.sandbox_browsers import SandboxBrowsers
from tests.support.sandbox_provider import SandboxProvider
from tests.support.webpush_service import WebpushService


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


# The four providers that channels push to, by the platform's name in the registry.


@pytest.fixture
def fresh_sandbox(shared_sandbox: Sandbox) -> Sandbox:
    """The shared sandbox with its first rules and an empty inbox."""
    shared_sandbox.reset()
    shared_sandbox.control(slow_s=0.2)
    return shared_sandbox


@pytest.fixture
async def apns(fresh_sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[ChannelService]:
    async with aclosing(SandboxProvider(fresh_sandbox, "apns", tmp_path)) as service:
        yield service


@pytest.fixture
async def fcm(fresh_sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[ChannelService]:
    async with aclosing(SandboxProvider(fresh_sandbox, "fcm", tmp_path)) as service:
        yield service


@pytest.fixture
async def webpush(tmp_path: Path) -> AsyncIterator[WebpushService]:
    async with webpush_service.run(tmp_path) as service:
        yield service


@pytest.fixture
async def browsers(
    fresh_sandbox: Sandbox, tmp_path: Path
) -> AsyncIterator[SandboxBrowsers]:
    """Web push to the sandbox, whose push services have their own manners."""
    async with aclosing(SandboxBrowsers(fresh_sandbox, tmp_path)) as service:
        yield service


@pytest.fixture
async def email(tmp_path: Path) -> AsyncIterator[EmailService]:
    async with email_service.run(tmp_path) as service:
        yield service
