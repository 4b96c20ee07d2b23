"""`bottlepost prune`, as a timer runs it."""

import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, select, update

from datastore import Datastore, retention
from models.base import utc_now
from models.chats import Chat, Message
from models.pushes import COMPLETED, PushJob
from notifier import prune
from notifier.prune import Pruned
from tests.support import databases
from tests.support.chats import make_chat, post
from tests.support.paths import ROOT

KEY = "a key nobody needs here"
WORDS = ("now", "already")


def _prune(store: Datastore, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return _notifier(store, "prune", *arguments)


def _notifier(store: Datastore, *arguments: str) -> "subprocess.CompletedProcess[str]":
    url = store.url.render_as_string(hide_password=False)
    environment = {
        **os.environ,
        "BOTTLEPOST_DATABASE_URL": url,
        "BOTTLEPOST_SERVICE_KEY": KEY,
        "BOTTLEPOST_RUN_DIR": (
            str(Path(url.removeprefix("sqlite:///")).parent)
            if store.is_sqlite
            else tempfile.gettempdir()
        ),
    }
    return subprocess.run(
        [sys.executable, "-m", "bottlepost", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=90,
    )


def test_old_jobs_are_deleted_and_counted(store: Datastore, make_settings) -> None:
    make_settings()
    chat = make_chat(store, 1)
    jobs = [post(store, chat) for _ in range(3)]
    long_ago = utc_now() - timedelta(days=8)
    with store.write() as session:
        session.execute(
            update(PushJob)
            .where(PushJob.id.in_(jobs[:2]))
            .values(
                state=COMPLETED, due_at=None, created_at=long_ago, finished_at=long_ago
            )
        )

    done = _prune(store, "--days", "7")

    assert done.returncode == 0
    # The line of the audit.
    [told] = done.stderr.splitlines()
    assert "days=7 pushes=2 imports=0" in told
    assert done.stdout == (
        "2 push jobs and 0 imports that ended before are gone, 0 old messages,"
        " and 0 client ids\n"
    )
    with store.read() as session:
        assert session.scalars(select(PushJob.id)).all() == [jobs[2]]


def test_more_jobs_than_a_batch_are_deleted(
    store: Datastore, make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH", 2)
    chat = make_chat(store, 1)
    for _ in range(5):
        post(store, chat)
    long_ago = utc_now() - timedelta(days=8)
    with store.write() as session:
        session.execute(
            update(PushJob).values(
                state=COMPLETED, due_at=None, created_at=long_ago, finished_at=long_ago
            )
        )

    post(store, chat)

    assert prune.run(make_settings(), days=7) == Pruned(5, 0, 0)


def test_old_messages_of_all_conversations_are_deleted(
    store: Datastore, make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "MESSAGES", 2)
    monkeypatch.setattr(retention, "CHATS_PER_LOOK", 2)
    chats = [make_chat(store, 0) for _ in range(5)]
    for chat in [*chats, *chats, *chats]:
        post(store, chat)
    long_ago = utc_now() - timedelta(days=8)
    with store.write() as session:
        session.execute(
            update(PushJob).values(state=COMPLETED, due_at=None, finished_at=utc_now())
        )
        session.execute(update(Message).values(created_at=long_ago))
        # The third one keeps its messages longer.
        changed = update(Chat).where(Chat.id == chats[2])
        session.execute(changed.values(retention_days=30))
    post(store, chats[2])

    pruned = prune.run(make_settings(message_days=7), days=30)

    assert pruned == Pruned(0, 0, 12)
    with store.read() as session:
        left = session.scalars(select(Message.chat_id)).all()
    assert left == [chats[2]] * 4


def test_a_run_ends_when_its_time_is_over(store: Datastore, make_settings) -> None:
    chat = make_chat(store, 0)
    for _ in range(3):
        post(store, chat)
    long_ago = utc_now() - timedelta(days=8)
    with store.write() as session:
        session.execute(
            update(PushJob).values(
                state=COMPLETED, due_at=None, created_at=long_ago, finished_at=long_ago
            )
        )

    assert prune.run(make_settings(), days=7, minutes=0) == Pruned(0, 0, 0)
    assert prune.run(make_settings(), days=7, minutes=9) == Pruned(2, 0, 0)


@pytest.mark.parametrize("days", ["0", "-1", "soon", "10000000"])
def test_a_wrong_number_of_days_exits_with_2(store: Datastore, days: str) -> None:
    done = _prune(store, "--days", days)

    assert done.returncode == 2
    assert "--days" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_be_used_exits_with_1(tmp_path: Path) -> None:
    store = Datastore(f"sqlite:///{tmp_path}/empty.db")

    done = _prune(store, "--days", "7")

    assert done.returncode == 1
    assert "run `bottlepost migrate`" in done.stderr
    assert "Traceback" not in done.stderr


def test_only_postgresql_can_be_partitioned(store: Datastore) -> None:
    done = _notifier(store, "partition")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "bottlepost: only PostgreSQL has partitions\n"


def end(store: Datastore, which: ColumnElement[bool]) -> None:
    """End these jobs, eight days ago."""
    long_ago = utc_now() - timedelta(days=8)
    with store.write() as session:
        session.execute(
            update(PushJob)
            .where(which)
            .values(
                state=COMPLETED,
                due_at=None,
                waits_for=None,
                holds_chat=False,
                created_at=long_ago,
                finished_at=long_ago,
            )
        )


def test_months_of_jobs_are_dropped_as_a_whole(tmp_path: Path) -> None:
    with databases.fresh("postgresql", tmp_path) as store:
        chat = make_chat(store, 1)
        old = [post(store, chat) for _ in range(3)]
        said = [_notifier(store, "partition").stdout for _ in range(2)]
        end(store, PushJob.id.in_(old))
        new = post(store, chat)

        done = _prune(store, "--days", "7")

        assert said == [
            f"push jobs are {word} partitioned by month\n" for word in WORDS
        ]
        first, rest = done.stdout.splitlines()
        assert first == "partitions of push jobs that are gone: 1"
        assert rest.startswith("0 push jobs")
        with store.read() as session:
            assert session.scalars(select(PushJob.id)).all() == [new]


def test_a_job_outside_all_partitions_is_deleted_by_itself(
    tmp_path: Path, make_settings
) -> None:
    with databases.fresh(databases.PARTITIONED, tmp_path) as store:
        chat = make_chat(store, 1)
        posted = [post(store, chat) for _ in range(2 * databases.WIDTH + 3)]
        end(store, PushJob.id > 0)
        url = store.url.render_as_string(hide_password=False)

        pruned = prune.run(make_settings(database_url=url), days=7)

        # The newest job stays.
        assert (pruned.pushes, pruned.partitions) == (2, 3)
        with store.read() as session:
            assert session.scalars(select(PushJob.id)).all() == posted[-1:]
