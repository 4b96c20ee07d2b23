"""Small jobs: the short way and a JobRun record the same, whatever devices do."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select, update

from datastore import Datastore
from datastore.outbox import due_work
from models.accounts import Device
from models.base import utc_now
from models.chats import Member, Message
from models.pushes import Notification, PushFailure, PushJob, Target
from notifier.channels import Report
from notifier.engine import job_run, loop, small_job, stragglers, tally
from notifier.engine.loop import Engine
from notifier.engine.small_job import SmallJob
from notifier.outcome import ACCEPTED, ChannelDown, Kind, Outcome
from tests.support import chats, databases
from tests.support.fake_channel import FakeChannel
from tests.support.wait import eventually

SEEDS = range(6)
# How long a device takes for its answer, around the two times that matter to us.
PATIENCE_S, SILENCE_S = 0.03, 0.12
SLOW_S, SILENT_S = 0.06, 0.2
RETRY_S = 0.02
MOODS = ("accept",) * 8 + ("slow", "silent", "later", "suspect", "refuse", "other")


class Plan(NamedTuple):
    """A run that can be repeated."""

    # Numbers of devices of each conversation.
    devices: list[int]
    # The conversation of each message; its text is its number.
    messages: list[int]
    # What becomes of the push of a message to a device; by default it is accepted.
    moods: Mapping[tuple[str, str], str]
    # Messages whose first push finds the provider away.
    is_down: set[str]
    deleted: set[str]
    # Members (chat, place) who have left, and those who have muted their chat.
    left: set[tuple[int, int]]
    muted: set[tuple[int, int]]


def plan_of(seed: int) -> Plan:
    dice = random.Random(seed)
    devices = [dice.randint(1, 6) for _ in range(3)]
    messages = [dice.randrange(3) for _ in range(24)]
    members = [(chat, k) for chat, count in enumerate(devices) for k in range(count)]
    moods = {
        (str(number), token(chat, k)): dice.choice(MOODS)
        for number, chat in enumerate(messages)
        for k in range(devices[chat])
        # In every other plan most messages are accepted by all.
        if not is_calm(seed) or dice.random() < 0.2
    }
    texts = [str(number) for number in range(len(messages))]
    # A dead device gets no later message, and retries of earlier ones are given up. So
    # it dies of its last message, and has no retries.
    of_dead = [text for text, chat in zip(texts, messages, strict=True) if chat == 0]
    moods |= dict.fromkeys(((text, token(0, 0)) for text in of_dead), "slow")
    moods[of_dead[-1], token(0, 0)] = "gone"
    others = sorted({*texts} - {*of_dead})
    return Plan(
        devices,
        messages,
        moods,
        set(dice.sample(others, 2)),
        set(dice.sample(texts, 3)),
        {member for member in members if dice.random() < 0.1},
        {member for member in members if dice.random() < 0.1},
    )


def is_calm(seed: int) -> bool:
    return seed % 2 == 0


def token(chat: int, place: int) -> str:
    return f"chat {chat} device {place}"


class Moody:
    """A provider that follows a plan."""

    awaits_token = False

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._down = set(plan.is_down)
        # Texts by device, in the order of their first pushes.
        self.told: dict[str, list[str]] = defaultdict(list)

    def render(self, notification: Notification) -> Notification:
        return notification

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        text = rendered.text
        if text in self._down:
            self._down.remove(text)
            raise ChannelDown("away")
        await asyncio.gather(*(self._push(text, each, report) for each in targets))

    async def _push(self, text: str, target: Target, report: Report) -> None:
        mood = self._plan.moods.get((text, target.token), "accept")
        if text not in self.told[target.token]:
            self.told[target.token].append(text)
        if mood in ("slow", "silent"):
            # The time that the device takes.
            await asyncio.sleep(SLOW_S if mood == "slow" else SILENT_S)
        report((target,), _outcome(mood, is_retry=target.attempts > 0))

    async def close(self) -> None:
        pass


def _outcome(mood: str, *, is_retry: bool) -> Outcome:
    if mood == "later" and not is_retry:
        return Outcome(Kind.LATER, "busy")
    if mood == "other":
        return ACCEPTED._replace(environment="sandbox")
    kinds = {"gone": Kind.GONE, "suspect": Kind.SUSPECT, "refuse": Kind.REFUSED}
    return Outcome(kinds[mood], mood) if mood in kinds else ACCEPTED


def fill(store: Datastore, plan: Plan) -> None:
    ids = []
    for chat, count in enumerate(plan.devices):
        names = [token(chat, k) for k in range(count)]
        platforms = ("apns", "fcm")
        ids.append(chats.make_chat(store, count, tokens=names, platforms=platforms))
    for number, chat in enumerate(plan.messages):
        chats.post(store, ids[chat], text=str(number))
    with store.write() as session:
        for member in session.scalars(select(Member)).all():
            chat = ids.index(member.chat_id)
            place = chat, member.user_id - chats.sender_of(store, member.chat_id) - 1
            if place in plan.left:
                session.delete(member)
            if place in plan.muted:
                member.muted_until = utc_now() + timedelta(days=1)
        session.execute(
            update(Message)
            .where(Message.text.in_(plan.deleted))
            .values(deleted_at=utc_now())
        )


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_run, "PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr(stragglers, "SILENCE_S", SILENCE_S)
    for name in ("retry_delay_s", "outage_delay_s"):
        monkeypatch.setattr(tally, name, lambda *_: RETRY_S)


async def work(store: Datastore, channel: Moody, *, kill_after: int | None) -> None:
    """Push everything, if need be with a second engine behind one that was killed."""
    if kill_after is not None:
        first = asyncio.create_task(_run(store, channel, "first"))
        await eventually(lambda: first.done() or _told(channel) >= kill_after)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        with store.write() as session:
            due_work.release_owner(session, "first")
    await _run(store, channel, "second")


async def _run(store: Datastore, channel: Moody, owner: str) -> None:
    own = Datastore(store.url.render_as_string(hide_password=False))
    both = {"apns": channel, "fcm": channel}
    engine = Engine(own, lambda *_: both, owner=owner, lease_s=30)
    running = asyncio.create_task(engine.run(linger_s=None, wake=asyncio.Event()))
    try:
        await eventually(lambda: chats.open_jobs(store) == 0)
        engine.stop()
    finally:
        if not engine._stopping.is_set():
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _told(channel: Moody) -> int:
    return sum(map(len, channel.told.values()))


def recorded(store: Datastore) -> list[Any]:
    """All that was recorded, apart from times and what depends on them."""
    jobs = [
        PushJob.id,
        PushJob.state,
        PushJob.fanned_out,
        PushJob.total,
        PushJob.accepted,
        PushJob.failed,
        PushJob.error,
        PushJob.cursor_user,
        PushJob.cursor_device,
        PushJob.holds_chat,
        PushJob.waits_for,
        PushJob.due_at,
        PushJob.lease_owner,
    ]
    failures = [PushFailure.job_id, PushFailure.device_id, PushFailure.outcome]
    # The marks of one message may overwrite those of another one.
    devices = [Device.id, Device.disabled_at.is_(None)]
    with store.read() as session:
        return [
            tuple(row)
            for columns in (jobs, failures, devices)
            for row in session.execute(select(*columns).order_by(*columns[:2])).all()
        ]


class Played(NamedTuple):
    recorded: list[Any]
    told: dict[str, list[str]]


def play(plan: Plan, kind: str, directory: Path, *, kill_after: int | None) -> Played:
    directory.mkdir()
    with databases.fresh(kind, directory) as store:
        fill(store, plan)
        channel = Moody(plan)
        asyncio.run(work(store, channel, kill_after=kill_after))
        return Played(recorded(store), channel.told)


def count_ends(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Counts jobs that ended the short way."""
    ended: list[int] = []
    end = SmallJob._end

    def note(small: SmallJob, targets: Sequence[Target]) -> None:
        ended.append(small.job_id)
        end(small, targets)

    monkeypatch.setattr(SmallJob, "_end", note)
    return lambda: len(ended)


@pytest.mark.parametrize("kill_after", [None, 9], ids=["to the end", "killed"])
@pytest.mark.parametrize("kind", databases.KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_both_ways_record_the_same(
    seed: int,
    kind: str,
    kill_after: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurry(monkeypatch)
    plan = plan_of(seed)
    ended_short = count_ends(monkeypatch)

    small = play(plan, kind, tmp_path / "small", kill_after=kill_after)
    short = ended_short()
    monkeypatch.setattr(small_job, "may_be_small", lambda _: False)
    full = play(plan, kind, tmp_path / "full", kill_after=kill_after)

    # Nothing is a small job that a second engine takes over.
    assert short > 0 or kill_after is not None or not is_calm(seed)
    assert ended_short() == short
    assert small.recorded == full.recorded
    assert {who: sorted(texts) for who, texts in small.told.items()} == {
        who: sorted(texts) for who, texts in full.told.items()
    }


@pytest.fixture(params=databases.KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with databases.fresh(request.param, tmp_path) as store:
        yield store


@pytest.mark.parametrize("devices", [0, 1, due_work.FIRST_TARGETS - 1])
async def test_a_job_that_all_devices_accept_needs_no_job_run(
    store: Datastore, monkeypatch: pytest.MonkeyPatch, devices: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("every device has accepted")

    monkeypatch.setattr(loop, "JobRun", refuse)
    chat = chats.make_chat(store, devices)
    for number in range(3):
        chats.post(store, chat, text=str(number))
    channel = FakeChannel()
    own = Datastore(store.url.render_as_string(hide_password=False))
    engine = Engine(own, lambda *_: {"apns": channel}, owner="a", lease_s=30)

    await engine.run(linger_s=0, wake=asyncio.Event())

    assert channel.texts() == [str(n) for n in range(3) for _ in range(devices)]
    with store.read() as session:
        jobs = session.scalars(select(PushJob)).all()
    assert {(job.state, job.total, job.accepted) for job in jobs} == {
        ("completed", devices, devices)
    }
