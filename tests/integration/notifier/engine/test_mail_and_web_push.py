"""The whole engine, from the outbox to mailboxes and browsers, on real servers."""

import asyncio
import json
import multiprocessing
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import config
from config import Settings
from datastore import Datastore
from datastore.outbox import job_status
from notifier.engine import loop
from tests.support import chats, databases, sandbox, smtp_server, tls
from tests.support.sandbox import Sandbox
from tests.support.wait import eventually

TIMEOUT_S = 50.0
ADDRESSES = ("bob@example.org", "eve@example.org")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return config.from_env(
        {
            "BOTTLEPOST_RUN_DIR": str(tmp_path),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
            "BOTTLEPOST_DATABASE_URL": databases.fresh_url("sqlite", tmp_path),
            "BOTTLEPOST_CA_FILE": str(tls.authority().ca_file),
            "BOTTLEPOST_VAPID_SUBJECT": "mailto:ops@example.org",
            "BOTTLEPOST_WEBPUSH_ALLOW": "127.0.0.1",
            "BOTTLEPOST_SMTP_FROM": "chat@harbour.example",
            # Replaced by the address of the test's own server.
            "BOTTLEPOST_SMTP_URL": "smtp://localhost:1",
            "BOTTLEPOST_SMTP_DIGEST_S": "1",
            "BOTTLEPOST_LEASE_S": "3",
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path) as store:
        yield store


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox.running(tmp_path / "sandbox") as running:
        yield running


@asynccontextmanager
async def _working(settings: Settings) -> AsyncIterator[None]:
    """An engine that works until the end of the block."""
    working = loop.build(settings, owner="in the test")
    task = asyncio.create_task(working.run(linger_s=None, wake=asyncio.Event()))
    try:
        yield
    finally:
        working.stop()
        await task


def _work(settings: Settings) -> None:
    """Run an engine in a process that the test kills."""
    working = loop.build(settings, owner="to be killed")
    asyncio.run(working.run(linger_s=None, wake=asyncio.Event()))


def _accepted(store: Datastore, job_ids: Sequence[int]) -> list[int]:
    """How many devices accepted each job, once all jobs are completed."""
    with store.read() as session:
        found = [job_status.find(session, job_id) for job_id in job_ids]
    done = [job for job in found if job is not None and job.state == "completed"]
    return [job.accepted for job in done] if len(done) == len(job_ids) else []


async def test_messages_of_one_digest_window_come_in_one_mail(
    settings: Settings, store: Datastore
) -> None:
    chat = chats.make_chat(store, 2, platforms=["email"], tokens=ADDRESSES)
    posted = [chats.post(store, chat, text=f"no. {n}") for n in (1, 2, 3)]

    async with (
        smtp_server.run() as server,
        _working(replace(settings, smtp_url=server.url())),
    ):
        await eventually(lambda: _accepted(store, posted) == [2, 2, 2], TIMEOUT_S)

    mails = {received.recipient: received for received in server.inbox}
    assert mails.keys() == set(ADDRESSES)
    # A moment may be the end of one window and the beginning of the next.
    assert len(server.inbox) < 6
    texts = "".join(received.plain for received in server.inbox)
    assert [texts.count(f"no. {n}") for n in (1, 2, 3)] == [2, 2, 2]


async def test_a_waiting_mail_delays_no_push(
    settings: Settings, store: Datastore, service: Sandbox, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(
        tls.authority().ca_file.read_bytes() + service.ca_file.read_bytes()
    )
    tokens = [ADDRESSES[0], json.dumps(service.subscribe())]
    chat = chats.make_chat(store, 2, platforms=["email", "webpush"], tokens=tokens)
    async with smtp_server.run() as server:
        patient = replace(
            settings, smtp_url=server.url(), smtp_digest_s=3600, ca_file=both
        )
        async with _working(patient):
            for text in ("one", "two"):
                chats.post(store, chat, text=text, ttl_s=9000)

            await eventually(lambda: len(service.inbox()) == 2, TIMEOUT_S)

    payloads = [push["payload"] for push in service.inbox()]
    assert [payload["body"] for payload in payloads] == ["one", "two"]
    assert payloads[1]["badge"] == 2
    assert server.connections == []


async def test_a_killed_process_loses_no_mail(
    settings: Settings, store: Datastore
) -> None:
    chat = chats.make_chat(store, 2, platforms=["email"], tokens=ADDRESSES)
    posted = [chats.post(store, chat, text="hello")]
    async with smtp_server.run() as server:
        settings = replace(settings, smtp_url=server.url(), smtp_digest_s=0)
        server.gate.clear()
        process = multiprocessing.get_context("forkserver").Process(
            target=_work, args=(settings,)
        )
        process.start()
        await eventually(lambda: server.offered == 1, TIMEOUT_S)

        process.kill()
        await asyncio.to_thread(process.join)
        server.gate.set()

        async with _working(settings):
            await eventually(lambda: _accepted(store, posted) == [2], TIMEOUT_S)

    assert {received.recipient for received in server.inbox} == set(ADDRESSES)
    # The one that was in flight may have come twice, and says so by its id.
    ids = {received.mail["Message-ID"] for received in server.inbox}
    assert len(ids) == 2
    assert len(server.inbox) <= 3
