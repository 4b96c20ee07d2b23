"""The provider in C accepts pushes as the benchmark of one core needs it."""

import shutil
from collections.abc import Iterator

import httpx
import pytest

from benchmarks import core
from notifier.http2 import Client, Head, Request, Response, literal
from tests.support import tls

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="needs a compiler")

APNS_ID = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


@pytest.fixture
def url() -> Iterator[str]:
    with core.provider() as (url, _):
        yield url


async def test_every_push_is_accepted(url: str) -> None:
    # More than its streams, and than the bodies that a new connection's window holds.
    pushes = 5000
    fields = literal("apns-id", APNS_ID)
    requests = [Request(b"x" * 400, b"/3/device/%d" % n, fields) for n in range(pushes)]
    accepted: list[int] = []
    others: list[Response] = []
    client = Client(url, tls=tls.client_context())

    await client.send(
        Head((("apns-topic", "com.example.chat"),)),
        requests,
        lambda _, response: others.append(response),
        accepted.extend,
    )
    await client.close()

    assert others == []
    assert sorted(accepted) == list(range(pushes))


def test_clients_of_others_are_answered_too(url: str) -> None:
    with httpx.Client(http1=False, http2=True, verify=tls.client_context()) as client:
        answers = [client.post(f"{url}/3/device/1", content=b"{}") for _ in range(3)]

    assert [(answer.status_code, answer.content) for answer in answers] == [
        (200, b"")
    ] * 3
