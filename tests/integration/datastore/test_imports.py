"""Imports: rows are applied exactly once, also after crashes and retries."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from datastore import Datastore, chats, import_rows, imports
from datastore.imports import MOST_ATTEMPTS, MOST_PROBLEMS
from datastore.outbox import claims, due_work
from models.accounts import Device, User
from models.base import utc_now
from models.chats import Chat, Member
from models.errors import Conflict
from models.imports import ImportChunk, ImportJob, ImportProblem, Problem, Row
from tests.support import databases

LEASE = timedelta(seconds=30)
ANN = Row(1, "user", {"external_id": "u-1", "name": "Ann"})
LUNCH = Row(2, "conversation", {"external_id": "c-1", "name": "Lunch"})
PHONE = Row(
    3,
    "device",
    {"user": "u-1", "platform": "fcm", "token": "t-1", "environment": "production"},
)
MEMBERSHIP = Row(4, "member", {"user": "u-1", "conversation": "c-1", "role": "member"})
ALL = [ANN, LUNCH, PHONE, MEMBERSHIP]


def put(store: Datastore, *rows: Row) -> import_rows.Put:
    with store.write() as session:
        return import_rows.put(session, rows, utc_now())


def upload(store: Datastore, *chunks: list[Row], bad: int = 0) -> int:
    """An import that waits to be claimed."""
    problems = [Problem(1000 + n, "name", "must not be blank") for n in range(bad)]
    with store.write() as session:
        import_id = imports.begin(session, utc_now())
        for chunk in chunks:
            imports.add(session, import_id, chunk, [])
        imports.add(session, import_id, [], problems)
        imports.close(session, import_id, utc_now())
    return import_id


def claim(store: Datastore, owner: str = "a", *, later: float = 0) -> int | None:
    now = utc_now() + timedelta(seconds=later)
    with store.write() as session:
        job = imports.claim(session, owner, now=now, lease_until=now + LEASE)
        return job.id if job else None


def put_next(store: Datastore, import_id: int, owner: str = "a") -> bool:
    now = utc_now()
    with store.write() as session:
        return imports.put_next(
            session, owner, import_id, now=now, lease_until=now + LEASE
        )


def job(store: Datastore, import_id: int) -> ImportJob:
    with store.read() as session:
        found = imports.find(session, import_id)
    assert found is not None
    return found


def count(store: Datastore, model: type) -> int:
    with store.read() as session:
        return session.scalars(select(func.count()).select_from(model)).one()


def everything(store: Datastore) -> list[object]:
    tables = [model.__table__ for model in (User, Chat, Device, Member)]
    with store.read() as session:
        return [session.execute(select(table)).all() for table in tables]


# -- rows


def test_rows_of_a_chunk_find_each_other_in_any_order(store: Datastore) -> None:
    done = put(store, *reversed(ALL))

    assert done == import_rows.Put(4, [])
    with store.read() as session:
        membership = session.scalars(select(Member)).one()
        device = session.scalars(select(Device)).one()
        ann = session.scalars(select(User)).one()
    assert membership.user_id == device.user_id == ann.id


def test_same_rows_again_change_nothing(store: Datastore) -> None:
    put(store, *ALL)
    before = everything(store)

    again = put(store, *ALL)

    assert again == import_rows.Put(0, [])
    assert everything(store) == before


def test_new_name_is_saved(store: Datastore) -> None:
    put(store, *ALL)

    done = put(store, ANN._replace(values={"external_id": "u-1", "name": "Anna"}))

    assert done == import_rows.Put(1, [])
    with store.read() as session:
        assert session.scalars(select(User.name)).one() == "Anna"


def test_picture_is_saved_and_kept_by_rows_without_one(store: Datastore) -> None:
    urls = [f"https://example.org/{n}.png" for n in range(2)]
    pictures = [Row(1, "user", {**ANN.values, "avatar_url": url}) for url in urls]

    changed = [
        put(store, *rows).changed
        for rows in ([ANN], [pictures[0]], [pictures[0]], [ANN], [pictures[1], ANN])
    ]

    with store.read() as session:
        found = session.scalars(select(User.avatar_url)).all()
    assert changed == [1, 1, 0, 0, 1]
    assert found == [urls[1]]


def test_last_of_several_rows_with_one_id_counts(store: Datastore) -> None:
    later = ANN._replace(line=9, values={"external_id": "u-1", "name": "Anna"})

    put(store, ANN, later, PHONE, PHONE._replace(line=10))

    with store.read() as session:
        assert session.scalars(select(User.name)).all() == ["Anna"]
    assert count(store, Device) == 1


def test_rows_with_unknown_references_are_problems(store: Datastore) -> None:
    put(store, LUNCH)
    stray = MEMBERSHIP._replace(
        line=5, values=MEMBERSHIP.values | {"conversation": "x"}
    )

    done = put(store, MEMBERSHIP, PHONE, stray)

    assert done.changed == 0
    assert [(each.line, each.field) for each in done.problems] == [
        (3, "user"),
        (4, "user"),
        (5, "conversation"),
    ]


def test_import_cannot_move_a_device_to_another_user(store: Datastore) -> None:
    put(store, *ALL)
    bob = Row(1, "user", {"external_id": "u-2", "name": "Bob"})

    done = put(store, bob, PHONE._replace(values=PHONE.values | {"user": "u-2"}))

    assert done.changed == 1
    assert done.problems == [Problem(3, "token", import_rows.NOT_THEIRS)]


def test_device_state_from_a_provider_is_kept(store: Datastore) -> None:
    put(store, *ALL)
    with store.write() as session:
        device = session.scalars(select(Device)).one()
        device.environment, device.disabled_at = "sandbox", utc_now()
    before = everything(store)

    done = put(store, PHONE)

    assert done.changed == 0
    assert everything(store) == before


def test_device_with_another_app_is_enabled_again(store: Datastore) -> None:
    put(store, *ALL)
    with store.write() as session:
        session.scalars(select(Device)).one().disabled_at = utc_now()

    done = put(store, PHONE._replace(values=PHONE.values | {"app": "org.x"}))

    assert done.changed == 1
    with store.read() as session:
        device = session.scalars(select(Device)).one()
    assert (device.app, device.disabled_at) == ("org.x", None)


def test_member_can_become_owner_but_not_the_reverse(store: Datastore) -> None:
    put(store, *ALL)
    owner = MEMBERSHIP._replace(values=MEMBERSHIP.values | {"role": "owner"})

    made = put(store, owner, MEMBERSHIP)
    again = put(store, MEMBERSHIP)

    assert (made.changed, again.changed) == (1, 0)
    with store.read() as session:
        assert session.scalars(select(Member.role)).one() == "owner"


def test_new_member_has_no_unread_messages(store: Datastore) -> None:
    put(store, LUNCH, ANN)
    with store.write() as session:
        session.scalars(select(Chat)).one().last_seq = 7

    put(store, MEMBERSHIP)

    with store.read() as session:
        membership = session.scalars(select(Member)).one()
    assert (membership.joined_seq, membership.read_seq) == (7, 7)


def test_deleted_conversation_gets_no_member(store: Datastore) -> None:
    put(store, LUNCH, ANN)
    with store.write() as session:
        chats.remove(session, session.scalars(select(Chat.id)).one(), utc_now())

    done = put(store, MEMBERSHIP)

    assert [each.field for each in done.problems] == ["conversation"]


def test_no_query_scans_a_whole_table(tmp_path: Path) -> None:
    asked: list[tuple[str, Any]] = []

    def note_statement(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        asked.append((statement, values))

    # SQLite only, because other databases scan a small table, and are right to.
    with databases.fresh("sqlite", tmp_path) as store:
        event.listen(store.engine, "before_cursor_execute", note_statement)
        put(store, *ALL)
        queries = [each for each in asked if each[0].startswith("SELECT")]
        with store.engine.connect() as connection:
            plans = [
                connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()
                for query, values in queries
            ]

    steps = [step for plan in plans for *_, step in plan]
    assert len(plans) == 9
    assert [step for step in steps if not step.startswith("SEARCH")] == []


# -- jobs


def test_chunks_are_applied_one_by_one(store: Datastore) -> None:
    import_id = upload(store, [ANN, LUNCH], [PHONE, MEMBERSHIP], bad=1)

    assert claim(store) == import_id
    steps = [put_next(store, import_id) for _ in range(3)]

    done = job(store, import_id)
    assert steps == [True, True, False]
    assert (done.state, done.total, done.done, done.failed) == ("completed", 5, 4, 1)
    assert (done.changed, done.due_at, done.lease_owner) == (4, None, None)
    assert count(store, ImportChunk) == 0


def test_leased_import_cannot_be_claimed(store: Datastore) -> None:
    import_id = upload(store, [ANN])

    first = claim(store, "a")
    second = claim(store, "b")

    assert (first, second) == (import_id, None)
    assert not put_next(store, import_id, "b")
    assert count(store, User) == 0


def test_import_continues_after_an_expired_lease(store: Datastore) -> None:
    import_id = upload(store, [ANN], [LUNCH])
    claim(store, "a")
    put_next(store, import_id, "a")

    taken = claim(store, "b", later=60)

    assert taken == import_id
    assert not put_next(store, import_id, "a")
    while put_next(store, import_id, "b"):
        pass
    done = job(store, import_id)
    assert (done.state, done.done) == ("completed", 2)


def test_import_of_a_dead_owner_is_due_at_once(store: Datastore) -> None:
    import_id = upload(store, [ANN])
    claim(store, "a")

    with store.write() as session:
        released = due_work.release_owner(session, "a")

    assert released == 1
    assert claim(store, "b") == import_id


def test_failed_chunk_changes_nothing(store: Datastore) -> None:
    broken = Row(3, "device", {"user": "u-1", "platform": "fcm", "token": "t"})
    import_id = upload(store, [ANN, broken])
    claim(store)

    with pytest.raises(KeyError):
        put_next(store, import_id)

    assert count(store, User) == 0
    assert job(store, import_id).done == 0


def test_import_without_progress_fails(store: Datastore) -> None:
    import_id = upload(store, [ANN])

    for number in range(MOST_ATTEMPTS):
        later = 60 * number
        claim(store, later=later)
        with store.write() as session:
            now = utc_now() + timedelta(seconds=later)
            imports.put_off(session, "a", import_id, error="why", now=now, until=now)

    done = job(store, import_id)
    assert (done.state, done.error, done.due_at) == ("failed", "why", None)


def test_bad_lines_are_all_counted_and_the_first_kept(store: Datastore) -> None:
    import_id = upload(store, bad=MOST_PROBLEMS + 50)

    claim(store)
    put_next(store, import_id)

    assert job(store, import_id).failed == MOST_PROBLEMS + 50
    assert count(store, ImportProblem) == MOST_PROBLEMS
    with store.read() as session:
        assert imports.problems(session, import_id)[0] == Problem(
            1000, "name", "must not be blank"
        )


def test_upload_is_not_due_before_its_end(store: Datastore) -> None:
    with store.write() as session:
        import_id = imports.begin(session, utc_now())
        imports.add(session, import_id, [ANN], [])

    with store.read() as session:
        assert due_work.next_due(session).next_at is None
        assert imports.find(session, import_id) is None
    assert claim(store) is None


def test_upload_that_was_cut_off_is_deleted(store: Datastore) -> None:
    with store.write() as session:
        cut = imports.begin(session, utc_now() - timedelta(hours=2))
        imports.add(session, cut, [ANN], [Problem(2, "", "x")])

    with store.write() as session:
        imports.begin(session, utc_now())

    assert count(store, ImportChunk) == count(store, ImportProblem) == 0
    with pytest.raises(Conflict), store.write() as session:
        imports.add(session, cut + 1000, [ANN], [])


def test_one_query_finds_due_pushes_and_imports(store: Datastore) -> None:
    import_id = upload(store, [ANN])

    with store.read() as session:
        due = due_work.next_due(session)
        without = due_work.next_due(session, with_imports=False)
        pushes = claims.next_due_at(session)

    assert due.import_at == due.next_at == job(store, import_id).due_at
    assert without.next_at is None
    assert pushes is None
