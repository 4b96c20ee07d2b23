"""Two hosts with one PostgreSQL: they share the work, and what one leaves behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select

from models.pushes import PushJob
from tests.support import postgresql, push_processes
from tests.support.client import Reply
from tests.support.postgresql import PostgresServer
from tests.support.running_system import FAST, SHORT_LEASE, Conversation, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.wait import until

# Few at a time and slow answers, so that there is a middle to strike in.
SLOW = {"latency_ms": 100, "max_concurrent_streams": 5}
QUICK = {"latency_ms": 0, "max_concurrent_streams": 1000}
# Streams of both providers over all the connections an engine opens to each.
IN_FLIGHT = 2 * 8 * 5


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    with postgresql.running() as server:
        yield server


@contextmanager
def host(
    run_dir: Path, sandbox: Sandbox, database: PostgresServer
) -> Iterator[RunningSystem]:
    """One host's server and PushProcesses; both are gone afterwards."""
    run_dir.mkdir()
    environment = {
        **sandbox.environment,
        **FAST,
        **SHORT_LEASE,
        "BOTTLEPOST_DATABASE_URL": database.url,
        "BOTTLEPOST_SERVICE_KEY": "one key for both hosts",
    }
    with Server(run_dir, environment) as server:
        system = RunningSystem(run_dir, server, sandbox)
        yield system
        system.store.close()
    push_processes.end_all(run_dir)


@pytest.fixture
def hosts(
    tmp_path: Path, shared_sandbox: Sandbox, database: PostgresServer
) -> Iterator[tuple[RunningSystem, RunningSystem]]:
    shared_sandbox.reset()
    with (
        host(tmp_path / "one", shared_sandbox, database) as one,
        host(tmp_path / "two", shared_sandbox, database) as two,
    ):
        yield one, two


def at(system: RunningSystem, conversation: Conversation) -> Conversation:
    """The same conversation, its sender connected to that host."""
    token = conversation.sender.token or ""
    return Conversation(
        conversation.id, system.server.client.as_user(token), conversation.tokens
    )


def both_at_work(system: RunningSystem) -> set[int] | None:
    """The processes that hold a lease at this moment, if these are two."""
    with system.store.read() as session:
        names = session.scalars(
            select(PushJob.lease_owner).where(PushJob.lease_owner.is_not(None))
        )
        owners = {int(name.split(":")[1]) for name in names if name}
    return owners if len(owners) > 1 else None


def test_both_hosts_work_at_the_same_time(
    hosts: tuple[RunningSystem, RunningSystem],
) -> None:
    one, _ = hosts
    conversations = [one.conversation(10) for _ in range(24)]
    for system in hosts:
        conversation = one.conversation(1)
        one.wait_until_ended(conversation, at(system, conversation).post("warm up"))
        until(system.push_processes, what="for a warm process")
    # So slow that whoever looks sees both at it, on a busy machine too.
    one.sandbox.control(**{**SLOW, "latency_ms": 1000})

    posts = []

    def post_until_both_work() -> set[int] | None:
        # One of them may be quick enough to take a few messages of the other's host.
        if len(posts) < len(conversations):
            conversation = conversations[len(posts)]
            system = hosts[len(posts) % 2]
            posts.append((conversation, at(system, conversation).post()))
        return both_at_work(one)

    working = until(post_until_both_work, what="for two processes at work")
    processes = [set(system.push_processes()) for system in hosts]
    one.sandbox.control(**QUICK)

    jobs = [
        one.wait_until_ended(conversation, posted) for conversation, posted in posts
    ]
    assert all(working & pids for pids in processes)
    assert {(job["state"], job["accepted"]) for job in jobs} == {("completed", 10)}
    # Nobody died, so nothing is pushed twice.
    assert set(one.pushed(*conversations).values()) == {1}


def test_a_host_that_dies_is_taken_over_when_its_lease_ends(
    hosts: tuple[RunningSystem, RunningSystem],
) -> None:
    one, two = hosts
    conversation = one.conversation(1000)
    one.sandbox.control(**SLOW)

    posted = conversation.post()
    recorded = until(
        lambda: recorded_at_last(one, conversation, posted), what="for a record"
    )
    one.server.kill()
    for pid in one.push_processes():
        push_processes.kill(pid)
    answered = one.sandbox.summary()["accepted"]
    one.sandbox.control(**QUICK)

    job = two.wait_until_ended(at(two, conversation), posted)
    pushed = two.pushed(conversation)
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 1000, 1000)
    assert pushed.keys() == conversation.tokens
    # What was recorded is not pushed again.
    assert pushed.total() - 1000 <= answered + IN_FLIGHT - recorded


def recorded_at_last(
    system: RunningSystem, conversation: Conversation, posted: Reply
) -> int | None:
    """How many pushes the job knows of, once these are some."""
    accepted: int = system.job(conversation, posted)["accepted"]
    return accepted if accepted >= 100 else None


def post_until_taken(conversation: Conversation, text: str) -> Reply:
    """Again under the same name while there is no database, as a client should."""

    def post() -> Reply | None:
        posted = conversation.post(text, client_id=text)
        return posted if posted.status in (200, 201) else None

    posted = until(post, what=f"for {text} to be taken")
    assert posted is not None
    return posted


def test_a_database_that_goes_away_loses_nothing(
    hosts: tuple[RunningSystem, RunningSystem], database: PostgresServer
) -> None:
    one, _ = hosts
    conversation = one.conversation(50, platforms=["apns"])
    numbers = count()
    texts = [f"message-{next(numbers)}" for _ in range(8)]
    one.sandbox.control(**SLOW)

    posts = [
        post_until_taken(at(hosts[n % 2], conversation), t) for n, t in enumerate(texts)
    ]
    until(lambda: one.sandbox.summary()["accepted"] >= 20, what="for some pushes")
    database.stop()
    refused = [at(system, conversation).post("not now") for system in hosts]
    database.start()
    late = [f"message-{next(numbers)}" for _ in range(4)]
    posts += [post_until_taken(conversation, text) for text in late]
    one.sandbox.control(**QUICK)

    jobs = [one.wait_until_ended(conversation, posted) for posted in posts]
    assert {(reply.status, reply.code) for reply in refused} == {(503, "unavailable")}
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    assert {(job["state"], job["accepted"]) for job in jobs} == {("completed", 50)}
    arrived = {
        (push["token"], push["payload"]["aps"]["alert"]["body"])
        for push in one.sandbox.inbox(limit=10_000)
    }
    assert arrived == {
        (token, text) for token in conversation.tokens for text in texts + late
    }
