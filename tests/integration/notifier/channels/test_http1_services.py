"""Web push to a self-hosted service that has only HTTP/1.1, through the channel."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from notifier.outcome import Kind
from tests.support import h1_server, push_service
from tests.support.h1_server import Wire
from tests.support.push_service import PushService
from tests.support.webpush_service import WebpushService, targets


@dataclass
class Http1Request:
    """A request as the push service takes it, with an answer in HTTP/1.1."""

    headers: list[tuple[str, str]]
    path: str
    body: bytes
    response: bytes = b""

    def answer(
        self, status: int, fields: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields)]
        lines.append(f"Content-Length: {len(body)}")
        self.response = "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
async def webpush(tmp_path: Path) -> AsyncIterator[WebpushService]:
    """The strict push service, behind a server that has no HTTP/2."""
    service: PushService = push_service.create()

    async def script(wire: Wire) -> None:
        while True:
            first, fields, body = await wire.request()
            method, path, _ = first.split(" ")
            headers = [(":method", method), *fields.items()]
            request = Http1Request(headers, path, body)
            service.react(request)  # type: ignore[arg-type]
            if request.response:
                await wire.send(request.response)

    async with h1_server.serve(script) as server:
        service.peer.port = server.port
        running = WebpushService(service, tmp_path)
        yield running
        await running.aclose()


async def test_pushes_arrive_encrypted_and_signed(webpush: WebpushService) -> None:
    browsers = [webpush.server.subscribe() for _ in range(5)]

    reports = await webpush.send(targets(*browsers), text="Land in sight")

    assert reports.kinds() == ["accepted"] * 5
    assert [payload["body"] for payload in webpush.server.payloads()] == [
        "Land in sight"
    ] * 5


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Kind.ACCEPTED),
        (201, Kind.ACCEPTED),
        (301, Kind.LATER),
        (404, Kind.GONE),
        (410, Kind.GONE),
        (413, Kind.REFUSED),
        (429, Kind.LATER),
        (503, Kind.LATER),
    ],
)
async def test_answers_mean_what_they_mean_with_http2(
    webpush: WebpushService, status: int, kind: Kind
) -> None:
    told, other = webpush.server.subscribe(), webpush.server.subscribe()
    webpush.server.tell(told, status, retry_after="30", location="https://other.test/")

    reports = await webpush.send(targets(told, other))

    assert reports.by_device[1].kind is kind
    if status in (429, 503):
        assert reports.by_device[1].retry_after_s == pytest.approx(30)
    assert reports.by_device[2].kind is Kind.ACCEPTED


async def test_a_service_without_an_answer_is_tried_later(
    webpush: WebpushService,
) -> None:
    browser = webpush.server.subscribe()
    webpush.server.hang(browser)

    async with asyncio.timeout(20):
        reports = await webpush.send(targets(browser))

    assert reports.kinds() == ["later"]
