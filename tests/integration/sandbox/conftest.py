"""One sandbox for the session, reset before each test."""

from collections.abc import Iterator

import pytest

from tests.support import sandbox as sandboxes
from tests.support.provider_tokens import ApnsSender, FcmSender
from tests.support.sandbox import Sandbox
from tests.support.webpush_sender import WebpushSender


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes.running(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def apns(sandbox: Sandbox) -> Iterator[ApnsSender]:
    sender = ApnsSender(sandbox)
    yield sender
    sender.client.close()


@pytest.fixture
def apns_development(sandbox: Sandbox) -> Iterator[ApnsSender]:
    sender = ApnsSender(sandbox, url=sandbox.development_url)
    yield sender
    sender.client.close()


@pytest.fixture
def fcm(sandbox: Sandbox) -> Iterator[FcmSender]:
    sender = FcmSender(sandbox)
    yield sender
    sender.client.close()


@pytest.fixture
def webpush(sandbox: Sandbox) -> Iterator[WebpushSender]:
    sender = WebpushSender(sandbox)
    yield sender
    sender.client.close()
