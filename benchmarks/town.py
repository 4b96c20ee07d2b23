"""Fill a new database with a town: millions of users, devices and memberships.

    python -m benchmarks.town URL [--devices 20000000] [--memberships 10000000]
                                  [--messages 5000000] [--seed 1]

Seven tenths of the users have Android, the others iOS, and every fourth has a second
device. Conversations have 5 to 100,000 members and users up to 500 conversations, both
by a power law (`town_plan.py`). The database migrates first, and must hold no user.

The rows are computed by the database itself, in blocks, so this program needs little
memory; nothing is random at the time of filling, so the same numbers and the same seed
make the same town. For throw-away databases only: a town that was not filled to its
end is of no use.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import islice

from sqlalchemy import insert, select
from sqlalchemy.schema import Column, MetaData, Table
from sqlalchemy.types import BigInteger, Integer

from benchmarks.report import Report
from benchmarks.town_bulk import TABLES, Bulk, opened
from benchmarks.town_plan import LARGEST, Town
from datastore import Datastore, migrations
from models.accounts import User

DEVICES, MEMBERSHIPS, MESSAGES = 20_000_000, 10_000_000, 5_000_000
# Rows of one statement.
BLOCK = 500_000
CHATS_AT_ONCE = 10_000
YEAR_S = 365 * 24 * 3600

_scratch = MetaData()
# 0 … BLOCK - 1, because SQL has no common way to count.
_NUMBER = Table("town_number", _scratch, Column("n", Integer, primary_key=True))
_CHAT = Table(
    "town_chat",
    _scratch,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", Integer),
    Column("messages", Integer),
    # Column by column as in `PlannedChat` and `Order`.
    Column("first", BigInteger),
    Column("people", BigInteger),
    Column("step", BigInteger),
    Column("shift", BigInteger),
)
_PLACE = "(((c.first + {}) * c.step + c.shift) % c.people)"
_USER = f"(1 + ({_PLACE} * :step + :shift) % :users)"

_USERS = """
    INSERT INTO "user" (id, external_id, name, created_at)
    SELECT n, 'customer-' || CAST(n AS TEXT), 'user ' || CAST(n AS TEXT), {created}
    FROM (SELECT :first + n AS n FROM town_number WHERE n < :count) AS numbers
"""
# The first device of each user, then the second devices.
_DEVICES = """
    INSERT INTO device (id, user_id, platform, token, token_hash, environment,
                        registered_at)
    -- Materialized, or each use of a hash would compute it once more.
    WITH numbered AS (
        SELECT :first + n AS id,
               CASE WHEN :first + n <= :users THEN :first + n
                    ELSE (:first + n - :users) * 4 END AS user_id
        FROM town_number WHERE n < :count
    ),
    hashed AS MATERIALIZED (SELECT id, user_id, {sha} AS sha FROM numbered),
    -- Tokens as long as Google's and Apple's.
    named AS MATERIALIZED (
        SELECT id, user_id,
               CASE WHEN user_id % 10 < 7 THEN 'fcm' ELSE 'apns' END AS platform,
               CASE WHEN user_id % 10 < 7
                    THEN 'c' || substr(sha, 1, 21) || '\\:APA91b' || sha
                         || substr(sha, 1, 49)
                    ELSE sha END AS token
        FROM hashed
    )
    SELECT id, user_id, platform, token, {hash}, 'production', {created} FROM named
"""
# What the hash is of: the installation id with which a token of Google begins.
_PHONE = "CASE WHEN platform = 'fcm' THEN substr(token, 1, 22) ELSE token END"
_MEMBERS = """
    INSERT INTO member (chat_id, user_id, role, joined_seq, read_seq, caught_up)
    SELECT chat_id, user_id, role, 0,
           -- One in five has not read the newest messages.
           CASE WHEN (user_id + chat_id) % 5 > 0 THEN messages
                WHEN messages < 3 THEN 0 ELSE messages - 3 END,
           CASE WHEN (user_id + chat_id) % 5 > 0 OR messages = 0 THEN 1 END
    FROM (
        SELECT c.id AS chat_id, {user} AS user_id, c.messages AS messages,
               CASE WHEN n = 0 THEN 'owner' ELSE 'member' END AS role
        FROM town_chat AS c JOIN town_number ON n < c.size
        WHERE c.id BETWEEN :first AND :last
    ) AS members
    ORDER BY chat_id, user_id
"""
# All conversations go on through the whole year, so a conversation's messages are far
# apart in the table. Each member writes in turn.
_MESSAGES = """
    INSERT INTO message (id, chat_id, seq, sender_id, text, silent, created_at)
    SELECT id, chat_id, seq, sender_id, {text}, FALSE, {created}
    FROM (
        SELECT row_number() OVER (ORDER BY (n + 0.5) / c.messages, c.id) AS id,
               c.id AS chat_id, n + 1 AS seq, {sender} AS sender_id,
               CAST((n + 0.5) / c.messages * :year AS INTEGER) AS age
        FROM town_chat AS c JOIN town_number ON n < c.messages
    ) AS numbered
    ORDER BY id
"""
_TEXT = "'Message ' || CAST(seq AS TEXT) || ': the ferry leaves at nine, and I have"
_TEXT += " both tickets. Shall we meet at the pier, or at home?'"
# Each message has been pushed to all but its sender; nothing waits for its job.
_JOBS = """
    INSERT INTO push_job (id, message_id, chat_id, kind, state, holds_chat,
                          holding_shards, cursor_user, cursor_device, fanned_out,
                          total, accepted, failed, attempts, created_at, started_at,
                          finished_at, expires_at)
    SELECT m.id, m.id, m.chat_id, 'message', 'completed', FALSE,
           0, :users, :users, TRUE,
           c.size - 1, c.size - 1, 0, 1, m.created_at, m.created_at,
           m.created_at, m.created_at
    FROM message AS m JOIN town_chat AS c ON c.id = m.chat_id
    WHERE m.id BETWEEN :first AND :last
    ORDER BY m.id
"""
_CHATS = """
    INSERT INTO chat (id, name, last_seq, last_job_id, created_at)
    SELECT c.id, 'conversation ' || CAST(c.id AS TEXT), c.messages, newest.id, {created}
    FROM town_chat AS c LEFT JOIN (
        SELECT chat_id, max(id) AS id FROM message GROUP BY chat_id
    ) AS newest ON newest.chat_id = c.id
    ORDER BY c.id
"""


class Builder:
    """Fills a database by the plan, and reports what each step took."""

    def __init__(self, bulk: Bulk, town: Town, report: Report) -> None:
        self._bulk = bulk
        self._town = town
        self._report = report
        order = town.by_rank
        self._place = {"step": order.step, "shift": order.shift, "users": order.count}

    def build(self) -> None:
        bulk = self._bulk
        started_at = time.perf_counter()
        bulk.prepare()
        self._timed("plan", self._load_plan())
        self._timed("user", self._fill_users())
        self._timed("device", self._fill_devices())
        self._timed("member", self._fill_members())
        self._timed("message", self._fill_messages())
        self._timed("push_job", self._fill_jobs())
        self._timed("chat", self._fill_chats())
        _scratch.drop_all(bulk.connection)
        before = time.perf_counter()
        for name in bulk.finish():
            now = time.perf_counter()
            print(f"  {now - started_at:5.0f} s  {name}", flush=True)
        self._report.row(
            step="indexes and keys", rows="-", seconds=time.perf_counter() - before
        )
        total = time.perf_counter() - started_at
        self._report.row(step="all", rows="-", seconds=total)

    def _timed(self, step: str, blocks: Iterator[int]) -> None:
        before, rows = time.perf_counter(), 0
        for count in blocks:
            rows += count
        took_s = time.perf_counter() - before
        self._report.row(step=step, rows=rows, seconds=took_s, rows_per_s=rows / took_s)

    def _load_plan(self) -> Iterator[int]:
        bulk = self._bulk
        _scratch.create_all(bulk.connection)
        bulk.run("INSERT INTO town_number VALUES (0)")
        count = 1
        while count < BLOCK:
            sql = "INSERT INTO town_number SELECT n + :count FROM town_number"
            more = min(count, BLOCK - count)
            bulk.run(f"{sql} WHERE n < :more", count=count, more=more)
            count += more
        chats = self._town.chats()
        while planned := list(islice(chats, CHATS_AT_ONCE)):
            rows = [
                {
                    "id": chat.id,
                    "size": chat.size,
                    "messages": chat.messages,
                    "first": chat.first,
                    "people": chat.round.count,
                    "step": chat.round.step,
                    "shift": chat.round.shift,
                }
                for chat in planned
            ]
            bulk.connection.execute(insert(_CHAT), rows)
            yield len(rows)
        if bulk.connection.dialect.name == "postgresql":
            bulk.run("ANALYZE town_chat, town_number")

    def _fill_users(self) -> Iterator[int]:
        sql = _USERS.format(created=self._bulk.moment.format("0"))
        for first, last in _blocks(self._town.users):
            yield self._bulk.run(sql, first=first, count=last - first + 1)

    def _fill_devices(self) -> Iterator[int]:
        bulk = self._bulk
        seed = self._town.seed
        sql = _DEVICES.format(
            created=bulk.moment.format("0"),
            hash=bulk.digest.format(_PHONE),
            sha=bulk.digest.format(f"'{seed:d} ' || CAST(id AS TEXT)"),
        )
        users = self._town.users
        for first, last in _blocks(self._town.devices):
            yield bulk.run(sql, first=first, count=last - first + 1, users=users)

    def _fill_members(self) -> Iterator[int]:
        sql = _MEMBERS.format(user=_USER.format("n"))
        for first, last in self._chat_blocks():
            yield self._bulk.run(sql, first=first, last=last, **self._place)

    def _chat_blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of conversations with about a block of members, or one large one."""
        first, members, chat_id = 1, 0, 0
        for chat_id, size in self._bulk.all("SELECT id, size FROM town_chat"):
            members += size
            if members >= BLOCK:
                yield first, chat_id
                first, members = chat_id + 1, 0
        if first <= chat_id:
            yield first, chat_id

    def _fill_messages(self) -> Iterator[int]:
        sql = _MESSAGES.format(
            sender=_USER.format("n % c.size"),
            text=_TEXT,
            created=self._bulk.moment.format("age"),
        )
        yield self._bulk.run(sql, year=YEAR_S, **self._place)

    def _fill_jobs(self) -> Iterator[int]:
        newest = self._bulk.all("SELECT coalesce(max(id), 0) FROM message")[0][0]
        for first, last in _blocks(newest):
            users = self._town.users
            yield self._bulk.run(_JOBS, first=first, last=last, users=users)

    def _fill_chats(self) -> Iterator[int]:
        yield self._bulk.run(_CHATS.format(created=self._bulk.moment.format("0")))


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    for first in range(1, count + 1, BLOCK):
        yield first, min(first + BLOCK - 1, count)


def fill(url: str, town: Town, report: Report) -> None:
    """Migrate the database and fill it; its size is the last rows of the report."""
    store = Datastore(url)
    migrations.upgrade(store)
    with store.read() as session:
        holds_users = session.scalar(select(User.id).limit(1))
    store.close()
    if holds_users:
        raise SystemExit("the database holds users already")
    with opened(url) as bulk:
        Builder(bulk, town, report).build()
        sizes = bulk.sizes()
        for table in TABLES:
            rows = bulk.all(f'SELECT count(*) FROM "{table}"')[0][0]
            size = sizes.get(table, 0)
            report.row(
                table=table,
                rows=rows,
                mib=size / 2**20,
                bytes_a_row=size / max(rows, 1),
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", help="sqlite:///… or postgresql+psycopg://…")
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--memberships", type=int, default=MEMBERSHIPS)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    town = Town(chosen.devices, chosen.memberships, chosen.messages, chosen.seed)
    report = Report(f"A town of {town.devices:,} devices")
    fill(chosen.url, town, report)
    report.print(as_json=chosen.json)


assert BLOCK >= LARGEST, "a conversation's members are numbered by one block"

if __name__ == "__main__":
    main()
