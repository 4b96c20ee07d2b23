"""Whatever senders and engines do, every job ends, in the order of its chat."""

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from datastore import Datastore
from datastore.outbox import Claim, due_work, leases
from models.base import utc_now
from models.chats import Chat
from models.pushes import AT_ONCE, MESSAGE, READ, WITHDRAW, PushJob
from tests.support import chats, databases
from tests.support.outbox import LEASE, about, claim, end, record, step
from tests.support.wait import until

SENDS = 40


@pytest.fixture(params=[*databases.KINDS, databases.PARTITIONED])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh(request.param, tmp_path) as store:
        yield store


class Model:
    """Senders and engines that do anything at any time, on a chat or two."""

    def __init__(self, store: Datastore, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)
        self.chats = [chats.make_chat(store, 1) for _ in range(2)]
        self.held: dict[str, dict[int, Claim]] = defaultdict(dict)
        self.began: dict[int, list[int]] = defaultdict(list)
        self.ended: set[int] = set()
        self.messages: list[int] = []

    def run(self, steps: int) -> None:
        does = [self.post] * 4 + [self.claim] * 4 + [self.end] * 6
        does += [self.mark, self.put_off, self.crash, self.give_back]
        for _ in range(steps):
            self.random.choice(does)(self.random.choice("abc"))
        while self.open_jobs():
            self.claim("a")
            for owner in "abc":
                while self.held[owner]:
                    self.end(owner)

    def open_jobs(self) -> int:
        with self.store.read() as session:
            count = select(func.count()).where(PushJob.finished_at.is_(None))
            return session.scalars(count).one()

    def post(self, _owner: str) -> None:
        self.messages.append(chats.post(self.store, self.random.choice(self.chats)))

    def mark(self, _owner: str) -> None:
        if self.messages:
            kind = self.random.choice([READ, WITHDRAW])
            about(self.store, self.random.choice(self.messages), kind)

    def claim(self, owner: str) -> None:
        chain = self.random.choice([0, 1, 9])
        limit = self.random.choice([1, 5])
        for found in claim(self.store, owner, limit=limit, chain=chain):
            self.held[owner][found.job_id] = found

    def _first(self, owner: str) -> Claim | None:
        """A job of the owner that does not wait behind another of its jobs."""
        held = self.held[owner]
        free = [each for each in held.values() if each.waits_for not in held]
        return self.random.choice(free) if free else None

    def end(self, owner: str) -> None:
        job = self._first(owner)
        if job is None:
            return
        if job.kind == MESSAGE:
            self.began[job.chat_id].append(job.message_id)
        assert end(self.store, owner, job.job_id)[:2] == (set(), set())
        del self.held[owner][job.job_id]
        self.ended.add(job.job_id)

    def give_back(self, owner: str) -> None:
        """Give back a job, and with it all that wait behind it here."""
        job = self._first(owner)
        if job is None:
            return
        gone = {job.job_id}
        for each in sorted(self.held[owner].values(), key=lambda e: e.job_id):
            if each.waits_for in gone:
                gone.add(each.job_id)
        record(self.store, owner, *(step(each, release_until=AT_ONCE) for each in gone))
        for each in gone:
            del self.held[owner][each]

    def put_off(self, owner: str) -> None:
        """A job fails by itself; it is out of its chat's order from then on."""
        held = list(self.held[owner].values())
        if not held or self.random.random() < 0.5:
            return
        job, now = self.random.choice(held), utc_now()
        with self.store.write() as session:
            leases.postpone(
                session,
                owner,
                job.job_id,
                error="broken",
                until=now - LEASE,
                now=now,
                lease_until=now + LEASE,
            )
        self.began[job.chat_id].append(-job.message_id)
        self.crash(owner)

    def crash(self, owner: str) -> None:
        with self.store.write() as session:
            due_work.release_owner(session, owner)
        self.held[owner].clear()

    def check(self) -> None:
        for began in self.began.values():
            put_off = {-message for message in began if message < 0}
            in_order = [m for m in began if m > 0 and m not in put_off]
            assert in_order == sorted(in_order)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_all_jobs_end_in_the_order_of_their_chats(
    store: Datastore, seed: int
) -> None:
    model = Model(store, seed)

    model.run(120)

    model.check()
    with store.read() as session:
        left = select(func.count()).where(
            (PushJob.due_at.is_not(None))
            | (PushJob.waits_for.is_not(None))
            | PushJob.holds_chat
        )
        assert session.scalars(left).one() == 0


class Crowd:
    """Senders and engines on threads, with real connections."""

    def __init__(self, store: Datastore) -> None:
        self.store = store
        self.began: dict[int, list[int]] = defaultdict(list)
        self.problems: list[BaseException] = []
        self.done = threading.Event()

    def send(self, chat: int) -> None:
        for _ in range(SENDS):
            databases.as_we_do(self.store, partial(self._send, chat))

    def _send(self, chat: int) -> None:
        with self.store.write() as session:
            # As a send does, so that a chat's jobs are added one after another.
            session.scalars(
                select(Chat.id).where(Chat.id == chat).with_for_update()
            ).one()
            chats.post_in(session, chat, text="x", delay_s=0, ttl_s=60)

    def work(self, owner: str) -> None:
        held: set[int] = set()
        look = partial(claim, self.store, owner, limit=4, chain=2)
        while not self.done.is_set():
            for job in databases.as_we_do(self.store, look):
                self.began[job.chat_id].append(job.message_id)
                held.add(job.job_id)
            if held:
                finish = partial(end, self.store, owner, *held)
                lost, held, _ = databases.as_we_do(self.store, finish)
                assert not lost

    def thread(self, run: Callable[[Any], None], argument: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                run(argument)
            except BaseException as problem:
                self.problems.append(problem)
                self.done.set()

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread


def test_many_senders_and_engines_at_once_forget_no_job(store: Datastore) -> None:
    busy = [chats.make_chat(store, 1) for _ in range(2)]
    crowd = Crowd(store)

    senders = [crowd.thread(crowd.send, chat) for chat in busy * 2]
    engines = [crowd.thread(crowd.work, owner) for owner in "abc"]
    for sender in senders:
        sender.join(60)
    until(lambda: crowd.done.is_set() or not chats.open_jobs(store), 30)
    crowd.done.set()
    for engine in engines:
        engine.join(30)

    assert crowd.problems == []
    assert sum(map(len, crowd.began.values())) == 4 * SENDS
    for messages in crowd.began.values():
        assert sorted(messages) == messages
