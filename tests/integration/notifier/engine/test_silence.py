"""Devices that never answer do not block the rest of their conversation."""

import asyncio
from collections.abc import Sequence

import pytest

import notifier.engine.job_run
from datastore import Datastore
from datastore.outbox import due_work, job_status
from models.pushes import Notification, Target
from notifier.channels import Report
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED
from tests.support import chats
from tests.support.wait import eventually

SILENT = "silent"


class HalfDeafChannel:
    """Answers for all devices; the answers of silent ones wait for `speak`."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.speak = asyncio.Event()

    def render(self, notification: Notification) -> Notification:
        return notification

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        silent = [target for target in targets if target.token.startswith(SILENT)]
        for target in targets:
            self.heard.append((rendered.text, target.token))
            if target not in silent:
                report(target, ACCEPTED)
        if silent:
            await self.speak.wait()
        for target in silent:
            report(target, ACCEPTED)

    async def close(self) -> None:
        pass


def play(store: Datastore, told: int) -> list[tuple[str, str]]:
    """Run an engine; silent devices answer once `told` pushes were sent."""
    own = Datastore(store.url.render_as_string(hide_password=False))

    async def run() -> list[tuple[str, str]]:
        channel = HalfDeafChannel()
        engine = Engine(own, lambda *_: {"apns": channel}, owner="a", lease_s=30)
        running = asyncio.create_task(engine.run(linger_s=0, wake=asyncio.Event()))
        await eventually(lambda: len(channel.heard) == told)
        channel.speak.set()
        await running
        return channel.heard

    return asyncio.run(run())


def test_a_silent_device_does_not_block_the_next_message_of_its_chat(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier.engine.job_run, "SILENCE_S", 0.1)
    chat = chats.make_chat(store, 3, tokens=[SILENT])
    posted = [chats.post(store, chat, text=text) for text in ("first", "second")]

    heard = play(store, told=6)

    assert [text for text, _ in heard] == ["first"] * 3 + ["second"] * 3
    with store.read() as session:
        for job_id in posted:
            job = job_status.find(session, job_id)
            assert job is not None
            assert (job.state, job.total, job.accepted) == ("completed", 3, 3)


def test_silent_devices_do_not_delay_the_rest_of_a_large_job(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_work, "FIRST_TARGETS", 10)
    monkeypatch.setattr(notifier.engine.job_run, "BATCH_SIZE", 10)
    # One silent device in ten, in more batches than may be in flight.
    tokens = [f"{SILENT if k % 10 == 4 else 'lively'} {k}" for k in range(50)]
    chat = chats.make_chat(store, 100, tokens=tokens)
    job_id = chats.post(store, chat)

    play(store, told=100)

    with store.read() as session:
        job = job_status.find(session, job_id)
    assert job is not None
    assert (job.state, job.total, job.accepted) == ("completed", 100, 100)
