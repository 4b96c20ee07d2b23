"""One of the two databases that are compared: its town, its server and its senders."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from benchmarks import push_off, pushing
from benchmarks.clients import LoadConnection, LoadSender, request_of
from benchmarks.hosts import MeasuredServer
from benchmarks.pushing import Figures
from benchmarks.town_plan import Town
from datastore import Datastore, accounts, chats
from models.base import utc_now
from models.chats import Chat, Member
from models.pushes import COMPLETED, PushJob
from tests.support import tls

# The conversations that are measured; see `conversations`.
ANY, SMALL, LARGE, BUSY = "any", "of 5", "of 800", "of busy users"
LARGE_MEMBERS, SMALL_MEMBERS, BUSY_MEMBERS = 800, 5, 20
ANY_CHATS, BUSY_CHATS = 300, 10
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Side:
    """A database that holds a town, with a server that pushes nothing."""

    def __init__(self, store: Datastore, url: str, town: Town, run_dir: Path) -> None:
        self.town = town
        self._store = store
        self._url = url
        self._run_dir = run_dir
        self._made: list[int] = []
        with store.write() as session:
            self.senders = {
                ANY: self._senders_of_the_town(session),
                **self._conversations(session),
            }
        self._server = MeasuredServer(
            run_dir,
            {
                "BOTTLEPOST_DATABASE_URL": url,
                "BOTTLEPOST_DISPATCHER": push_off.NAME,
            },
            "-m",
            "benchmarks.push_off",
        )

    def _senders_of_the_town(self, session: Session) -> list[LoadSender]:
        """The owners of small conversations from all over the town."""
        small = [chat for chat in self.town.chats() if chat.size < 2 * SMALL_MEMBERS]
        chosen = small[:: max(1, len(small) // ANY_CHATS)][:ANY_CHATS]
        return [
            self._sender(session, self.town.user_of(chat.round.of(chat.first)), chat.id)
            for chat in chosen
        ]

    def _conversations(self, session: Session) -> dict[str, list[LoadSender]]:
        """New conversations of users who have been there, all with iOS.

        The members of SMALL and LARGE were in one conversation before, those of BUSY in
        the highest number, and they are the same in all conversations of a kind. So a
        badge counts as many conversations in a town of any size.
        """
        rounds = self.town.rounds()
        few = list(islice(self._users(rounds[1], rounds[0]), LARGE_MEMBERS))
        busy = list(islice(self._users(0, self.town.busy_users), BUSY_MEMBERS))
        if len(few) < LARGE_MEMBERS or len(busy) < BUSY_MEMBERS:
            raise SystemExit("the town is too small: more devices and memberships")
        groups = [few[k : k + SMALL_MEMBERS] for k in range(0, len(few), SMALL_MEMBERS)]
        return {
            SMALL: [self._create(session, group) for group in groups],
            LARGE: [self._create(session, few)],
            BUSY: [self._create(session, busy) for _ in range(BUSY_CHATS)],
        }

    def _users(self, first_rank: int, end: int) -> Iterator[int]:
        return (
            user
            for user in map(self.town.user_of, range(first_rank, end))
            if user % 10 >= 7
        )

    def _create(self, session: Session, users: Sequence[int]) -> LoadSender:
        chat, _ = chats.create(
            session, "measured", owner_id=users[0], user_ids=users, now=utc_now()
        )
        self._made.append(chat.id)
        return self._sender(session, users[0], chat.id)

    @staticmethod
    def _sender(session: Session, user_id: int, chat_id: int) -> LoadSender:
        token, _ = accounts.issue_token(session, user_id, utc_now())
        return LoadSender(token, chat_id)

    @contextmanager
    def connected(self, kind: str) -> Iterator[Callable[[int], float]]:
        """A function that posts to one of the conversations, and returns its seconds.

        The connection is a new one, because the server closes idle ones.
        """
        requests = [request_of(sender) for sender in self.senders[kind]]
        connection = LoadConnection(self._server.port)
        try:
            yield lambda number: connection.post(requests[number % len(requests)])
        finally:
            connection.close()

    def newest_job(self) -> int:
        with self._store.read() as session:
            return session.scalar(select(func.max(PushJob.id))) or 0

    def push(self, sink_url: str, since: int) -> Figures:
        """Have the engine push all that is due; its figures and the database's CPU."""
        command = [sys.executable, "-m", "benchmarks.tables_engine", self._url]
        command += [str(self._run_dir), sink_url, str(tls.authority().ca_file)]
        before = self._database_cpu_s()
        ended = subprocess.run(
            [*command, str(since)], stdout=subprocess.PIPE, text=True, check=True
        )
        figures = pushing.figures_of(ended.stdout)
        used_s = self._database_cpu_s() - before
        figures["database_us"] = used_s / figures["pushes"] * 1e6
        return figures

    def drop_jobs(self, since: int) -> None:
        """End the jobs of conversations that have phones of other makes, too."""
        with self._store.write() as session:
            session.execute(
                update(PushJob)
                .where(PushJob.id > since)
                .values(
                    state=COMPLETED,
                    due_at=None,
                    waits_for=None,
                    holds_chat=False,
                    finished_at=utc_now(),
                )
            )

    def _database_cpu_s(self) -> float:
        """The CPU time of all PostgreSQL processes; SQLite has none of its own."""
        if self._store.is_sqlite:
            return 0.0
        with self._store.read() as session:
            backend = session.scalar(text("SELECT pg_backend_pid()"))
        postmaster = int(_stat(backend)[1])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
        own = [_cpu_s(int(pid), ended_too=False) for pid in children.split()]
        return _cpu_s(postmaster, ended_too=True) + sum(own)

    def close(self) -> None:
        """Stop the server, and leave the town as it was, apart from messages."""
        self._server.stop()
        now: datetime = utc_now()
        with self._store.write() as session:
            session.execute(delete(Member).where(Member.chat_id.in_(self._made)))
            made = Chat.id.in_(self._made)
            session.execute(update(Chat).where(made).values(deleted_at=now))
        self._store.close()


@contextmanager
def opened(url: str, town: Town, run_dir: Path) -> Iterator[Side]:
    run_dir.mkdir()
    side = Side(Datastore(url), url, town, run_dir)
    try:
        yield side
    finally:
        side.close()


def _stat(pid: int) -> list[str]:
    """The fields of a process after its name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(pid: int, *, ended_too: bool) -> float:
    try:
        fields = _stat(pid)
    except FileNotFoundError:
        return 0.0
    # utime and stime; then those of its ended children.
    ticks = fields[11:15] if ended_too else fields[11:13]
    return sum(map(int, ticks)) * TICK_S
