"""Prepared statements about lists of ids and of rows, on every database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import IntegrityError

from datastore import Datastore
from datastore.prepared import Prepared, link_of
from datastore.prepared_lists import LENGTHS, PreparedForIds
from models.accounts import User
from models.chats import Member
from tests.support import chats, databases

NAMES = PreparedForIds(
    lambda ids: select(User.id, User.name).where(
        User.id.in_(ids), User.name != bindparam("except")
    )
)
ARE_READ = PreparedForIds(
    lambda ids: (
        update(Member)
        .where(Member.user_id.in_(ids))
        .values(read_seq=Member.read_seq + 1)
    )
)
RENAME = Prepared(
    update(User).where(User.id == bindparam("user")).values(name=bindparam("called"))
)
MANY = 2 * LENGTHS[-1] + 3


@pytest.fixture(params=databases.KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh(request.param, tmp_path) as store:
        yield store


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, LENGTHS[-1], LENGTHS[-1] + 1, MANY])
def test_a_list_of_any_length_finds_each_row_once(store: Datastore, count: int) -> None:
    chats.make_chat(store, MANY + 5)
    ids = list(range(count, 0, -1))

    with store.read() as session:
        found = NAMES.all(link_of(session), ids, {"except": "user 2"})

    assert found == [(n, f"user {n}") for n in range(1, count + 1) if n != 2]


@pytest.mark.parametrize("count", [1, 3, LENGTHS[-1] + 1])
def test_a_change_of_a_list_is_made_once_for_each_row(
    store: Datastore, count: int
) -> None:
    chats.make_chat(store, MANY)

    with store.write() as session:
        ARE_READ.run(link_of(session), range(1, count + 1))

    with store.read() as session:
        read = session.execute(select(Member.user_id, Member.read_seq)).all()
    assert {user: seq for user, seq in read} == {
        user: int(user <= count) for user in range(1, MANY + 2)
    }


def test_each_row_of_values_is_written(store: Datastore) -> None:
    chats.make_chat(store, 2)

    with store.write() as session:
        RENAME.each(link_of(session), [])
        rows = [{"user": user, "called": f"new {user}"} for user in (1, 3)]
        RENAME.each(link_of(session), rows)

    with store.read() as session:
        names = session.scalars(select(User.name).order_by(User.id)).all()
    assert names == ["new 1", "user 2", "new 3"]


def test_a_row_that_is_refused_raises_as_by_the_orm(store: Datastore) -> None:
    chats.make_chat(store, 2)
    rows = [{"user": 1, "called": "new"}, {"user": 2, "called": None}]

    with pytest.raises(IntegrityError), store.write() as session:
        RENAME.each(link_of(session), rows)

    with store.read() as session:
        names = session.scalars(select(User.name).order_by(User.id)).all()
    assert names == ["user 1", "user 2", "user 3"]
