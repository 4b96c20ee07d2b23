"""The rates of messages that came and that were done, when pushing keeps up or not."""

from datetime import timedelta

import pytest
from sqlalchemy import event, insert

from datastore import Datastore, metrics
from models.base import utc_now
from models.pushes import AT_ONCE, COMPLETED, MESSAGE, QUEUED, READ, PushJob
from tests.support import chats

NOW = utc_now()
HISTORY = 20_000


@pytest.fixture
def message(store: Datastore) -> tuple[int, int]:
    """The ids of a message and its chat, for all jobs; its own job is gone."""
    chat = chats.make_chat(store, 1)
    with store.write() as session:
        posted = chats.post_in(session, chat, text="a", delay_s=0, ttl_s=60)
        job = session.get_one(PushJob, posted)
        session.delete(job)
        return job.message_id, chat


def add(
    store: Datastore,
    message: tuple[int, int],
    count: int,
    *,
    age_s: float,
    ended_s: float | None,
    kind: str = MESSAGE,
    waits: bool = False,
) -> None:
    """Add jobs of that age, which ended so many seconds ago or are still open."""
    is_open = ended_s is None
    job = {
        "message_id": message[0],
        "chat_id": message[1],
        "kind": kind,
        "state": QUEUED if is_open else COMPLETED,
        "due_at": AT_ONCE if is_open and not waits else None,
        "waits_for": 1 if waits else None,
        "created_at": NOW - timedelta(seconds=age_s),
        "finished_at": None if ended_s is None else NOW - timedelta(seconds=ended_s),
        "expires_at": NOW,
    }
    with store.write() as session:
        session.execute(insert(PushJob), [dict(job) for _ in range(count)])


def per_minute(store: Datastore) -> tuple[int, int]:
    with store.read() as session:
        rates = metrics.rates(session, NOW)
    return round(rates.accepted * 60), round(rates.ended * 60)


def test_an_empty_outbox_has_zeros(store: Datastore) -> None:
    assert per_minute(store) == (0, 0)


def test_while_pushing_keeps_up_both_are_those_of_new_messages(
    store: Datastore, message: tuple[int, int]
) -> None:
    add(store, message, 40, age_s=120, ended_s=119)
    add(store, message, 30, age_s=20, ended_s=19)
    add(store, message, 2, age_s=1, ended_s=None)

    assert per_minute(store) == (32, 30)


@pytest.mark.parametrize("waits", [False, True])
def test_a_backlog_does_not_hide_what_was_done(
    store: Datastore, message: tuple[int, int], waits: bool
) -> None:
    add(store, message, 2000, age_s=900, ended_s=600)
    # Some of the newest jobs of each moment are taken before their turn.
    add(store, message, 30, age_s=850, ended_s=849)
    add(store, message, 1000, age_s=800, ended_s=120)
    add(store, message, 500, age_s=600, ended_s=30)
    add(store, message, 700, age_s=500, ended_s=None, waits=waits)
    add(store, message, 20, age_s=400, ended_s=399)
    add(store, message, 90, age_s=30, ended_s=None, waits=waits)
    add(store, message, 10, age_s=20, ended_s=19)

    assert per_minute(store) == (100, 510)


def test_read_marks_and_withdrawals_do_not_count(
    store: Datastore, message: tuple[int, int]
) -> None:
    add(store, message, 5, age_s=10, ended_s=9)
    add(store, message, 50, age_s=10, ended_s=9, kind=READ)

    assert per_minute(store) == (5, 5)


def test_no_query_reads_the_history(store: Datastore, message: tuple[int, int]) -> None:
    add(store, message, HISTORY, age_s=7200, ended_s=7199)
    add(store, message, 100, age_s=300, ended_s=20)
    add(store, message, 10, age_s=250, ended_s=None)
    statements: list[str] = []

    def on_statement(_c: object, _cursor: object, sql: str, *_rest: object) -> None:
        statements.append(sql)

    event.listen(store.engine, "before_cursor_execute", on_statement)

    assert per_minute(store) == (0, 100)
    with store.read() as session:
        first = metrics._first_ended_since(
            session, NOW - metrics.RATE_PERIOD, HISTORY + 102
        )
    assert HISTORY - 2 * metrics.NEIGHBOURS <= first <= HISTORY + 2
    # Binary searches, not scans: each asks for one row or for a few neighbours.
    assert len(statements) < 80
