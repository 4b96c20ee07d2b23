"""How PostgreSQL plans our statements."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateIndex

from benchmarks import town
from benchmarks.report import Report
from benchmarks.town_plan import Town
from datastore import Datastore
from datastore.outbox import due_work, fanout
from models.base import Base, utc_now
from tests.support import chats, databases
from tests.support.query_plans import plan_of

SETTINGS = ("jit", "random_page_cost")
OURS = ["off", "1.1"]
# Its table of conversations is small enough that reading the whole of it tempts.
TOWN = Town(devices=20_000, memberships=60_000, messages=5_000)


@pytest.fixture(scope="module")
def small_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datastore]:
    url = databases.fresh_url("postgresql", tmp_path_factory.mktemp("town"))
    town.fill(url, TOWN, Report("a test"))
    store = Datastore(url)
    yield store
    store.close()


def settings_of(session: Session) -> list[str]:
    return [session.execute(text(f"SHOW {name}")).scalar_one() for name in SETTINGS]


def test_every_connection_has_our_settings(tmp_path: Path) -> None:
    with (
        databases.fresh("postgresql", tmp_path) as store,
        # Each has a connection of its own.
        store.read() as first,
        store.read() as second,
    ):
        assert [settings_of(first), settings_of(second)] == [OURS, OURS]


def test_a_transaction_that_is_undone_leaves_the_settings(tmp_path: Path) -> None:
    with databases.fresh("postgresql", tmp_path) as store, store.read() as session:
        assert settings_of(session) == OURS

        session.rollback()

        assert settings_of(session) == OURS


def test_devices_and_badges_are_read_from_indexes(small_town: Datastore) -> None:
    # New conversations, which the statistics do not know yet, and old ones.
    new = chats.make_chat(small_town, 300)
    for chat_id in [new, *range(1, 17)]:
        chats.post(small_town, chat_id)
    lease = timedelta(seconds=30)
    jobs = due_work.take(
        small_town, "a", limit=64, chain=0, shards=1, with_imports=True, lease=lease
    ).jobs
    claims = [job.claim for job in jobs]
    now = utc_now()

    def read() -> None:
        with small_town.read() as session:
            fanout.first_targets(session, claims, limit=100, now=now)
        fanout.next_targets(small_town, claims[0], after=(0, 0), limit=1000, now=now)

    plan = plan_of(small_town, read, about="device")

    assert len(claims) == 17
    assert plan
    assert not [line for line in plan if "Seq Scan" in line], plan


def test_partial_indexes_have_their_conditions(small_town: Datastore) -> None:
    """As they would be created from the models, which is how the models are read."""
    indexes = [i for t in Base.metadata.tables.values() for i in t.indexes]
    partial = [i for i in indexes if "condition" in i.info]

    created = [str(CreateIndex(i).compile(small_town.engine)) for i in partial]

    assert partial
    assert all("WHERE" in statement for statement in created)
