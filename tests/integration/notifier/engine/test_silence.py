"""Devices that never answer do not block the rest of their conversation."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

import notifier.engine.job_run
import notifier.engine.stragglers
from datastore import Datastore
from datastore.outbox import due_work, job_status
from models.pushes import Notification, Target
from notifier.channels import Report
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED
from tests.support import chats
from tests.support.outbox import claim
from tests.support.wait import eventually

SILENT = "silent"


class HalfDeafChannel:
    """Answers for all devices; the answers of silent ones wait for `speak`."""

    awaits_token = False

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        # The late answers of the silent ones.
        self.answered: list[tuple[str, str]] = []
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
                report((target,), ACCEPTED)
        if silent:
            await self.speak.wait()
        for target in silent:
            self.answered.append((rendered.text, target.token))
            report((target,), ACCEPTED)

    async def close(self) -> None:
        pass

    def told(self, token: str) -> list[str]:
        return [text for text, heard in self.heard if heard == token]


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
    monkeypatch.setattr(notifier.engine.stragglers, "SILENCE_S", 0.1)
    chat = chats.make_chat(store, 3, tokens=[SILENT])
    posted = [chats.post(store, chat, text=text) for text in ("first", "second")]

    heard = play(store, told=6)

    assert [text for text, _ in heard] == ["first"] * 3 + ["second"] * 3
    with store.read() as session:
        for job_id in posted:
            job = job_status.find(session, job_id)
            assert job is not None
            assert (job.state, job.total, job.accepted) == ("completed", 3, 3)


@contextlib.asynccontextmanager
async def running(store: Datastore, channel: HalfDeafChannel) -> AsyncIterator[Engine]:
    own = Datastore(store.url.render_as_string(hide_password=False))
    engine = Engine(own, lambda *_: {"apns": channel}, owner="a", lease_s=30)
    task = asyncio.create_task(engine.run(linger_s=None, wake=asyncio.Event()))
    try:
        yield engine
    finally:
        engine.stop()
        await task


async def test_a_slow_device_holds_up_itself_and_not_its_chat(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 3, tokens=[SILENT, "lively", "quick"])
    texts = [str(number) for number in range(30)]
    posted = [chats.post(store, chat, text=text) for text in texts]
    channel = HalfDeafChannel()

    async with running(store, channel):
        # All messages reach the others long before three seconds have gone by …
        async with asyncio.timeout(2.5):
            await eventually(lambda: channel.told("lively") == texts)
        assert channel.told("quick") == texts
        # … and the slow one has only the first.
        assert channel.told(SILENT) == texts[:1]
        channel.speak.set()
        await eventually(lambda: channel.told(SILENT) == texts)
        await eventually(lambda: not chats.open_jobs(store))

    with store.read() as session:
        for job_id in posted:
            job = job_status.find(session, job_id)
            assert job is not None
            assert (job.state, job.total, job.accepted) == ("completed", 3, 3)


async def test_a_message_that_only_waits_for_a_slow_device_holds_the_chat_for_others(
    store: Datastore,
) -> None:
    """Another engine knows no stragglers, so it gets nothing of the chat."""
    chat = chats.make_chat(store, 3, tokens=[SILENT, "lively", "quick"])
    for text in ("first", "second"):
        chats.post(store, chat, text=text)
    channel = HalfDeafChannel()

    async with running(store, channel):
        await eventually(lambda: channel.told("lively") == ["first", "second"])
        chats.post(store, chat, text="third")
        assert claim(store, "b", chain=9) == []
        channel.speak.set()
        # The engine gets no wake-up; it looks when its jobs have ended.
        await eventually(lambda: channel.told(SILENT)[-1] == "third")


async def test_a_silent_device_gets_its_next_message_after_a_while(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier.engine.stragglers, "SILENCE_S", 1.0)
    chat = chats.make_chat(store, 3, tokens=[SILENT, "lively", "quick"])
    texts = [str(number) for number in range(20)]
    for text in texts:
        chats.post(store, chat, text=text)
    channel = HalfDeafChannel()

    async with running(store, channel):
        # It never answers. Its messages do not wait for one silence after another,
        # which would take twenty seconds.
        async with asyncio.timeout(15.0):
            await eventually(lambda: channel.told(SILENT) == texts)
        assert channel.answered == []
        channel.speak.set()
        await eventually(lambda: not chats.open_jobs(store))


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


class TokenlessChannel(HalfDeafChannel):
    """The silent ones' pushes wait for a provider token instead, and are not sent."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.second_begun = asyncio.Event()

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        if any(target.token.startswith(SILENT) for target in targets):
            self.begun += 1
            if self.begun == 2:
                self.second_begun.set()
            # `speak` brings the token.
            self.awaits_token = not self.speak.is_set()
            await self.speak.wait()
            self.awaits_token = False
        await super().send(rendered, targets, report)


@pytest.mark.parametrize("others", [0, 2])
async def test_messages_keep_their_order_while_a_provider_token_is_awaited(
    store: Datastore, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """It may take longer than the silence of a device."""
    monkeypatch.setattr(notifier.engine.stragglers, "SILENCE_S", 0.05)
    tokens = [SILENT, *(f"lively {number}" for number in range(others))]
    chat = chats.make_chat(store, len(tokens), tokens=tokens)
    texts = [str(number) for number in range(5)]
    for text in texts:
        chats.post(store, chat, text=text)
    channel = TokenlessChannel()

    async with running(store, channel):
        await eventually(lambda: channel.awaits_token)
        # Many silences long, the second message waits.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await channel.second_begun.wait()
        channel.speak.set()
        await eventually(lambda: channel.told(SILENT) == texts)
        await eventually(lambda: not chats.open_jobs(store))
