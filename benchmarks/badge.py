"""What the badges of a batch of devices cost.

    python -m benchmarks.badge [--quick] [--json] [--devices 1000] [--rounds 15]

Reads the devices of one message as the engine does, with each user's badge. The users
are in 5 or in 500 conversations; few of them have something unread. `idle` ones have
been read, but not marked as caught up yet. In the last row nothing is marked, so every
badge looks at every conversation. A ratio compares a row with the row of "few" in the
same database.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from benchmarks.report import Report, median, options
from datastore import Datastore, messages, outbox, posts, unread
from datastore import chats as conversations
from datastore.outbox import Claim, fanout, leases
from models.accounts import Device, User
from models.base import utc_now
from models.chats import Chat
from tests.support import databases
from tests.support.query_plans import analyze

FEW, MANY, UNREAD = 5, 500, 3
# Members of each conversation in which nothing is posted.
SMALL = 10
QUICK_DEVICES, QUICK_ROUNDS = 200, 9
# Rows of one insert statement.
SLICE = 100_000


class Case(NamedTuple):
    """Users of one kind: how many conversations they have, and how many are open."""

    name: str
    conversations: int
    idle: int


FIRST = Case("few", FEW, FEW - UNREAD)
COMPARED = Case("many", MANY, FEW - UNREAD)
# Each in a database of its own, because a planner expects what is usual there.
DATABASES = (
    (FIRST, COMPARED, Case("many, more of them idle", MANY, unread.MOST_IDLE)),
    (FIRST, Case("many, all looked at", MANY, MANY - UNREAD)),
)
# A membership of each user and conversation; ten users share each conversation. In the
# conversations that a user does not have, another user without a device is instead, so
# that the rows of all cases lie as far apart.
_MEMBERS = """
    WITH RECURSIVE numbers(n) AS
        (SELECT CAST(:start AS BIGINT)
         UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :stop)
    INSERT INTO member (chat_id, user_id, role, joined_seq, read_seq, caught_up)
    SELECT :chat + n % :each + n / :each / :small * :each,
        CASE WHEN n % :each < :own THEN :user ELSE :other END + n / :each,
        'member', 0,
        CASE WHEN n % :each < :unread THEN 2 ELSE 3 END,
        CASE WHEN n % :each < :open THEN NULL ELSE 1 END
    FROM numbers
"""
_CHATS = """
    WITH RECURSIVE numbers(n) AS
        (SELECT CAST(:chat AS BIGINT)
         UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :stop)
    INSERT INTO chat (id, name, last_seq, created_at)
    SELECT n, 'chat', 3, CURRENT_TIMESTAMP FROM numbers
"""


class Filler:
    """Fills a database with the users, devices and conversations of each case."""

    def __init__(self, store: Datastore, devices: int) -> None:
        self._store = store
        self._devices = devices
        self._users = 0
        self._chats = 0

    def fill(self, case: Case) -> Claim:
        """Returns the job of a message to all users of the case."""
        first_user = self._users + 1
        others = first_user + self._devices
        users = range(first_user, others)
        self._users += 2 * self._devices
        each = MANY - 1
        first_chat = self._chats + 1
        self._chats += (self._devices // SMALL + 1) * each
        now = utc_now()
        with self._store.write() as session:
            session.execute(
                insert(User),
                [
                    {"id": i, "name": "u", "created_at": now}
                    for i in range(first_user, self._users + 1)
                ],
            )
            session.execute(insert(Device), [_device(i) for i in users])
            bounds = {"chat": first_chat, "stop": self._chats + 1}
            session.execute(text(_CHATS), bounds)
        values = {
            "chat": first_chat,
            "user": first_user,
            "other": others,
            # One of them is the one in which the message is posted.
            "own": case.conversations - 1,
            "each": each,
            "small": SMALL,
            "unread": UNREAD - 1,
            "open": UNREAD - 1 + case.idle,
        }
        total = self._devices * each
        for start in range(0, total, SLICE):
            bounds = {"start": start, "stop": min(start + SLICE, total)}
            with self._store.write() as session:
                session.execute(text(_MEMBERS), values | bounds)
        self._chats += 1
        with self._store.write() as session:
            session.add(Chat(id=self._chats, name="all", last_seq=0, created_at=now))
            session.flush()
            return self._post(session, self._chats, list(users))

    def _post(self, session: Session, chat_id: int, users: list[int]) -> Claim:
        chat = conversations.get(session, chat_id, for_update=True)
        self._users += 1
        sender = self._users
        session.execute(
            insert(User), [{"id": sender, "name": "s", "created_at": utc_now()}]
        )
        conversations.add_members(session, chat, [*users, sender])
        membership = conversations.membership(session, chat_id, sender, for_update=True)
        draft = posts.Draft(text="hi")
        posted = messages.post(session, membership, draft, utc_now())
        session.execute(
            text(
                "UPDATE push_job SET lease_owner = 'benchmark', "
                "started_at = CURRENT_TIMESTAMP WHERE id = :job"
            ),
            {"job": posted.job_id},
        )
        held = leases.held_by(session, "benchmark")
        loaded = outbox.load(session, "benchmark", held)
        [claim] = [each for each in loaded if each.job_id == posted.job_id]
        return claim


def _device(user: int) -> dict[str, object]:
    return {
        "user_id": user,
        "platform": "apns",
        "token": f"{user:064x}",
        "token_hash": f"{user:064x}",
        "environment": "production",
        "registered_at": utc_now(),
    }


def measure(
    store: Datastore, cases: Sequence[Case], devices: int, rounds: int, to: Report
) -> None:
    filler = Filler(store, devices)
    reads = {case: _reader(store, filler.fill(case), devices) for case in cases}
    analyze(store, "member", "chat", "device", "uncounted")
    for case, read in reads.items():
        # The first batch reopens the new members, and warms up the caches.
        if {target.badge for target in read()} != {UNREAD}:
            raise SystemExit(f"{case.name}: wrong badges")
        read()
    # SQLite works in this process, so what else runs on the machine does not count.
    clock = time.process_time if store.is_sqlite else time.perf_counter
    took: dict[Case, list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case, read in reads.items():
            began = clock()
            read()
            took[case].append(clock() - began)
    kind = store.url.get_backend_name()
    for case, times in took.items():
        ratio = median([a / b for a, b in zip(times, took[FIRST], strict=True)])
        to.row(
            database=kind,
            users=case.name,
            conversations=case.conversations,
            unread=UNREAD,
            idle=case.idle,
            batch_ms=median(times) * 1000,
            ratio=ratio,
        )
        if case is COMPARED:
            name = f"{kind}: a batch of users of {MANY} ÷ of {FEW} conversations"
            to.goal(name, ratio, at_most=1.2)


def _reader(
    store: Datastore, claim: Claim, devices: int
) -> Callable[[], list[fanout.Target]]:
    def read() -> list[fanout.Target]:
        found = fanout.next_targets(
            store, claim, after=(0, 0), limit=devices + 1, now=utc_now()
        )
        assert found is not None
        assert len(found) == devices
        return found

    return read


def main() -> None:
    chosen = options(__doc__ or "", devices=1000, rounds=15)
    devices = QUICK_DEVICES if chosen.quick else chosen.devices
    rounds = QUICK_ROUNDS if chosen.quick else chosen.rounds
    report = Report(f"The badges of {devices:,} devices")
    try:
        for kind, cases in product(("sqlite", "postgresql"), DATABASES):
            with (
                tempfile.TemporaryDirectory() as directory,
                databases.fresh(kind, Path(directory)) as store,
            ):
                measure(store, cases, devices, rounds, report)
    finally:
        databases.end()
    report.print(as_json=chosen.json)


if __name__ == "__main__":
    main()
