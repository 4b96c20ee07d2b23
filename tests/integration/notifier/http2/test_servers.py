"""Requests to real servers, granian and nghttpd, on both event loops."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from notifier.http2 import Client, Head, Request, Response, literal
from tests.support import h2_servers, tls

HEAD = Head(
    headers=(
        ("apns-topic", "com.example.chat"),
        ("authorization", "bearer " + "t" * 200),
    )
)
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param


@pytest.fixture(scope="module")
def granian() -> Iterator[str]:
    with h2_servers.granian() as url:
        yield url


async def _ask(url: str, requests: list[Request]) -> dict[int, Response]:
    client = Client(url, tls=tls.client_context())
    answers: dict[int, Response] = {}
    async with asyncio.timeout(55):
        await client.send(HEAD, requests, answers.__setitem__)
        await client.close()
    return answers


def test_granian_echoes_every_request(granian, run):
    async def talk() -> None:
        requests = [
            Request(b"body %d" % i, b"/410/%d" % i, literal("apns-id", f"id-{i}"))
            for i in range(500)
        ]

        answers = await _ask(granian, requests)

        assert len(answers) == 500
        for i, answer in answers.items():
            fields = dict(answer.headers)
            assert (answer.status, answer.body) == (410, b"body %d" % i)
            assert (fields["topic"], fields["apns-id"]) == (
                "com.example.chat",
                f"id-{i}",
            )

    run(talk())


def test_granian_takes_bodies_larger_than_its_windows(granian, run):
    async def talk() -> None:
        bodies = [bytes([i]) * 50_000 for i in range(100)]

        answers = await _ask(granian, [Request(body, b"/200/") for body in bodies])

        assert [answers[i].body for i in range(100)] == bodies

    run(talk())


def test_granian_echoes_the_largest_allowed_response(granian, run):
    async def talk() -> None:
        body = b"x" * 65_536

        answers = await _ask(granian, [Request(body, b"/200/")] * 3)

        assert {answer.body for answer in answers.values()} == {body}

    run(talk())


# Not on every machine; granian, which is, covers the same ground.
if shutil.which("nghttpd"):

    @pytest.mark.parametrize("options", [(), ("--header-table-size=0",), ("-m", "3")])
    def test_nghttpd_serves_files_and_404s(options, run, tmp_path: Path):
        (tmp_path / "file").write_bytes(b"found")

        async def talk(url: str) -> None:
            paths = [b"/file", b"/none"] * 100

            answers = await _ask(url, [Request(b"body", path) for path in paths])

            assert [answers[i].status for i in range(200)] == [200, 404] * 100
            assert {a.body for a in answers.values() if a.status == 200} == {b"found"}

        with h2_servers.nghttpd(tmp_path, *options) as url:
            run(talk(url))
