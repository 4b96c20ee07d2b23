"""Upgrades of filled databases while senders post to a server of the old version.

The old version is that before a migration was added, as git has it. The next one is
this version with two more migrations, of the kinds that a migration may be.
"""

import io
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from datastore import Datastore, migrations, schema_check
from tests.support import installed, push_processes
from tests.support.client import Client
from tests.support.paths import ROOT
from tests.support.server import Server
from tests.support.wait import until

# From here on, each version works on the schema of the one after it.
FIRST = "0009"
BEFORE_NEXT, NEXT = "9998", "9999"
VERSIONS = "datastore/migrations/versions"
CHATS = 100
USERS = 1000
SENDERS = 4
# Posts before and after the migration, for comparison.
ALONE = 40
PAUSE_S = 0.01
MIGRATE_S = 900
NO_ANSWER = 0
_HEAD = """

revision = "{}"
down_revision = "{}"
branch_labels = None
depends_on = None


def upgrade() -> None:
"""
# What a migration may do.
_NEXT_MIGRATIONS = {
    f"{BEFORE_NEXT}_novelty.py": f'''"""Nullable columns, and new tables."""

import sqlalchemy as sa
from alembic import op
{_HEAD.format(BEFORE_NEXT, schema_check.newest())}
    for table in ("user", "chat", "message", "push_job"):
        op.add_column(table, sa.Column("novelty", sa.String(64), nullable=True))
    op.create_table("novelty", sa.Column("id", sa.Integer(), primary_key=True))
''',
    f"{NEXT}_index.py": f'''"""An index on a large table."""

from datastore.migrations import large_index
{_HEAD.format(NEXT, BEFORE_NEXT)}
    large_index.create("ix_message_novelty", "message", ["novelty"], "novelty > \'\'")
''',
}


def _number_from(column: str, count: int) -> str:
    return (
        f"WITH RECURSIVE n({column}) AS"
        f" (SELECT 1 UNION ALL SELECT {column} + 1 FROM n WHERE {column} < {count})"
    )


def _filling(messages: int) -> list[str]:
    """The statements that fill an empty database."""
    each = max(1, messages // CHATS)
    now = "CURRENT_TIMESTAMP"
    return [
        f'INSERT INTO "user" (name, created_at) {_number_from("i", USERS)}'
        f" SELECT 'user ' || i, {now} FROM n",
        f"INSERT INTO chat (name, last_seq, created_at) {_number_from('i', CHATS)}"
        f" SELECT 'chat ' || i, {each}, {now} FROM n",
        "INSERT INTO member (chat_id, user_id, role, joined_seq, read_seq)"
        " SELECT chat.id, u.id, 'member', 0, 0 FROM chat"
        f' JOIN "user" u ON u.id % {CHATS} = chat.id % {CHATS}',
        "INSERT INTO device"
        " (user_id, platform, token, token_hash, environment, registered_at)"
        f" SELECT id, 'fcm', 'token ' || id, 'hash ' || id, 'production', {now}"
        ' FROM "user"',
        "INSERT INTO message (chat_id, seq, sender_id, text, silent, created_at)"
        f" {_number_from('i', each)}"
        f" SELECT chat.id, i, chat.id, 'an old message', false, {now} FROM n, chat",
        "INSERT INTO push_job (chat_id, message_id, kind, state, cursor_user,"
        " cursor_device, fanned_out, total, accepted, failed, attempts, holds_chat,"
        " holding_shards, created_at, finished_at, expires_at)"
        " SELECT chat_id, id, 'message', 'completed', 0, 0, true, 9, 9, 0, 1, false, 0,"
        f" {now}, {now}, {now} FROM message",
    ]


def make_filled(url: str, revision: str, messages: int) -> None:
    """Create the tables of a revision, and fill them."""
    store = Datastore(url)
    with store.patient() as own, own.write(patient=True) as session:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = session.connection()
        command.upgrade(config, revision)
        for statement in _filling(messages):
            session.execute(text(statement))
    if store.is_postgresql:
        with store.engine.connect() as connection:
            connection.execute(text("ANALYZE"))
            connection.commit()
    store.close()


def revisions() -> list[str]:
    """Each revision from which this version is an upgrade; and the newest itself."""
    return [FIRST, *(each.revision for each in schema_check.missing(FIRST))]


@contextmanager
def versions(revision: str, directory: Path) -> Iterator[tuple[Path, Path]]:
    """The old version of this revision, and the version that upgrades it.

    Raises LookupError if git does not have the old one.
    """
    if revision != schema_check.newest():
        old = directory / "old"
        _check_out(_commit_before(schema_check.missing(revision)[0].revision), old)
        yield old, ROOT
        return
    following = directory / "next"
    installed.copy_source(following)
    for name, content in _NEXT_MIGRATIONS.items():
        (following / VERSIONS / name).write_text(content)
    yield ROOT, following


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, check=True, capture_output=True, timeout=60
        ).stdout
    except (OSError, subprocess.CalledProcessError) as problem:
        raise LookupError(f"git cannot tell: {problem}") from None


def _commit_before(revision: str) -> str:
    (path,) = (ROOT / VERSIONS).glob(f"{revision}_*.py")
    added = ("log", "--diff-filter=A", "--no-renames", "--format=%H", "-1", "--")
    commit = _git(*added, str(path.relative_to(ROOT))).decode().strip()
    if not commit:
        raise LookupError(f"the migration {revision} is not committed")
    return f"{commit}^"


def _check_out(commit: str, directory: Path) -> None:
    directory.mkdir()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as archive:
        archive.extractall(directory, filter="data")


@dataclass
class Sends:
    """What senders got, and how long each post took."""

    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    @property
    def failures(self) -> dict[int, int]:
        return {k: n for k, n in self.statuses.items() if k != 201}


@dataclass(frozen=True)
class Upgraded:
    """An upgrade under load."""

    migrate_s: float
    alone: Sends
    during: Sends
    after: Sends


def upgrade_under_load(url: str, run_dir: Path, old: Path, following: Path) -> Upgraded:
    """Migrate with the following version while senders post to the old one."""
    with ExitStack() as stack:
        server = stack.enter_context(
            Server(run_dir, {"BOTTLEPOST_DATABASE_URL": url}, root=old)
        )
        stack.callback(push_processes.end_all, run_dir)
        posts = [_conversation(server) for _ in range(SENDERS)]
        alone = _send(posts, ALONE)
        ended = threading.Event()
        during = Sends()
        senders = threading.Thread(target=_send_until, args=(posts, ended, during))
        senders.start()
        started_at = time.perf_counter()
        try:
            until(lambda: during.times, what="for the first posts")
            _migrate(server, following)
        finally:
            migrate_s = time.perf_counter() - started_at
            ended.set()
            senders.join()
        after = _send(posts, ALONE)
    return Upgraded(migrate_s, alone, during, after)


def _migrate(server: Server, version: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "bottlepost", "migrate"],
        cwd=version,
        env={**os.environ, **server.environment, "PYTHONPATH": str(version)},
        check=True,
        timeout=MIGRATE_S,
    )


@dataclass(frozen=True)
class _Post:
    sender: Client
    conversation: int

    def __call__(self, sends: Sends) -> None:
        body = {"conversation": self.conversation, "message": "a new one"}
        started_at = time.perf_counter()
        status = NO_ANSWER
        with suppress(OSError, HTTPException):
            status = self.sender.post("/groupchat/send", body).status
        sends.times.append(time.perf_counter() - started_at)
        sends.statuses[status] += 1


def _conversation(server: Server) -> _Post:
    other, _ = server.user("Bob")
    _, sender = server.user("Ann")
    made = sender.post("/groupchat", {"name": "Lunch", "members": [other]})
    assert made.status == 201, made
    return _Post(sender, made.json["id"])


def _send(posts: list[_Post], count: int) -> Sends:
    sends = Sends()
    for number in range(count):
        posts[number % len(posts)](sends)
    return sends


def _send_until(posts: list[_Post], ended: threading.Event, sends: Sends) -> None:
    """All senders at once, until the event."""

    def run(post: _Post) -> None:
        while not ended.wait(PAUSE_S):
            post(sends)

    threads = [threading.Thread(target=run, args=(post,)) for post in posts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
