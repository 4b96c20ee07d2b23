"""`bottlepost jobs` on real databases, with an engine that pushes."""

import asyncio

from sqlalchemy import select

from datastore import Datastore, unread
from datastore.outbox import job_status
from models.chats import Member
from models.pushes import PushJob
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED, Kind, Outcome
from tests.support import chats
from tests.support.fake_channel import FakeChannel

LATER = Outcome(Kind.LATER, "busy", 600.0)


NOTHING_TO_RETRY = "bottlepost: No device of this job can be tried again now.\n"


def engine(store: Datastore, channel: FakeChannel) -> Engine:
    own = Datastore(store.url.render_as_string(hide_password=False))
    return Engine(
        own, lambda tokens, troubles: {"apns": channel}, owner="a", lease_s=30
    )


def push(store: Datastore, channel: FakeChannel) -> None:
    """Work through the outbox until nothing is due."""

    async def play() -> None:
        async with asyncio.timeout(55):
            await engine(store, channel).run(linger_s=0.05, wake=asyncio.Event())

    asyncio.run(play())


def test_a_job_shows_why_devices_have_not_accepted_and_is_tried_again(run, store):
    chat = chats.make_chat(store, 3)
    job = chats.post(store, chat)
    channel = FakeChannel(lambda target: Outcome(Kind.REFUSED, "PayloadTooLarge"))
    push(store, channel)

    shown = run.json("jobs", "show", job)
    (listed,) = run.json("jobs", "list", "--failing")
    assert (shown["state"], shown["failed"], shown["pending"]) == ("failed", 3, 0)
    assert {each["reason"] for each in shown["devices"]} == {"PayloadTooLarge"}
    assert listed["id"] == job
    assert "PayloadTooLarge" in run("jobs", "show", job).out

    page = run("jobs", "show", job, "--limit", 2, "--json")
    rest = run.json("jobs", "show", job, "--after", page.err.split()[-1])
    assert page.json["devices"] + rest["devices"] == shown["devices"]

    assert run.json("jobs", "retry", job)["devices"] == 3
    channel.answer = lambda target: ACCEPTED
    push(store, channel)

    shown = run.json("jobs", "show", job)
    assert (shown["state"], shown["accepted"], shown["failed"]) == ("completed", 3, 0)
    assert shown["devices"] == []
    assert run.json("jobs", "list", "--failing") == []
    assert run("jobs", "retry", job).err == NOTHING_TO_RETRY


def test_what_waits_for_later_is_tried_now(run, store):
    job = chats.post(store, chats.make_chat(store, 2))
    channel = FakeChannel(lambda target: LATER)
    push(store, channel)
    channel.answer = lambda target: ACCEPTED

    push(store, channel)
    waiting = run.json("jobs", "show", job)["pending"]
    run.json("jobs", "retry", job)
    push(store, channel)

    assert waiting == 2
    assert run.json("jobs", "show", job)["state"] == "completed"


def test_dead_tokens_are_not_tried_again(run, store):
    job = chats.post(store, chats.make_chat(store, 2))
    push(store, FakeChannel(lambda target: Outcome(Kind.GONE, "Unregistered")))

    assert run("jobs", "retry", job).err == NOTHING_TO_RETRY
    assert run.json("jobs", "show", job)["state"] == "completed"


def test_a_cancelled_job_pushes_nothing_and_lets_the_next_one_pass(run, store):
    chat = chats.make_chat(store, 2)
    first, second, third = (chats.post(store, chat, text=text) for text in "abc")

    # The second waits for the first, and the third for the second.
    run.json("jobs", "cancel", second, "--yes")
    channel = FakeChannel()
    push(store, channel)

    assert channel.texts() == ["a", "a", "c", "c"]
    states = {row["id"]: row["state"] for row in run.json("jobs", "list")}
    assert states == {first: "completed", second: "failed", third: "completed"}
    shown = run.json("jobs", "show", second)
    assert shown["error"] == "cancelled by the operator"
    assert run("jobs", "cancel", second, "--yes").err == (
        "bottlepost: The job has ended.\n"
    )


def test_the_message_of_a_cancelled_job_counts_as_unread(run, store):
    chat = chats.make_chat(store, 2)
    with store.write() as session:
        for member in session.scalars(select(Member)):
            member.caught_up = unread.CAUGHT_UP
    job = chats.post(store, chat)

    run.json("jobs", "cancel", job, "--yes")

    with store.read() as session:
        open_ones = session.scalars(select(Member).where(Member.caught_up.is_(None)))
        assert len(open_ones.all()) >= 2


async def test_an_engine_drops_the_job_that_is_cancelled_while_it_pushes(run, store):
    chat = chats.make_chat(store, 2)
    job = chats.post(store, chat)
    channel = FakeChannel()
    channel.gate.clear()
    worker = engine(store, channel)
    async with asyncio.timeout(55):
        running = asyncio.create_task(worker.run(linger_s=0.05, wake=asyncio.Event()))
        await channel.reached.wait()
        refused = await asyncio.to_thread(run, "jobs", "retry", job)

        await asyncio.to_thread(run.json, "jobs", "cancel", job, "--yes")
        channel.gate.set()
        await running

    assert refused.err == NOTHING_TO_RETRY
    with store.read() as session:
        shown = job_status.find(session, job)
        owner = session.scalar(select(PushJob.lease_owner).where(PushJob.id == job))
    assert shown is not None
    assert (shown.state, shown.error) == ("failed", "cancelled by the operator")
    assert owner is None


def test_jobs_are_listed_from_the_newest_on(run, store):
    chat = chats.make_chat(store, 1)
    ids = [chats.post(store, chat) for _ in range(4)]

    first = run.json("jobs", "list", "--limit", 3)
    rest = run.json("jobs", "list", "--before", first[-1]["id"])

    assert [row["id"] for row in first + rest] == ids[::-1]
    assert run.json("jobs", "list", "--state", "completed") == []
