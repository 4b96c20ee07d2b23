"""A message that is posted again: its first answer, another content, and its age."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from datastore import Datastore, chats, messages, retention, sends
from datastore.posts import Draft, Posted
from models.base import utc_now
from models.chats import ClientId, Message
from models.errors import ClientIdUsed
from models.pushes import PushFailure, PushJob
from tests.support import chats as rooms
from tests.support import databases
from tests.support.wait import until

TOMORROW = datetime(2031, 5, 6, 12, tzinfo=UTC)
FULL = {
    "text": "hi",
    "client_id": "a",
    "data": {"k": "v", "l": "w"},
    "silent": True,
    "deliver_after": TOMORROW,
    "ttl_s": 60,
}


@pytest.fixture
def chat(store: Datastore) -> int:
    return rooms.make_chat(store, 2)


def say(store: Datastore, chat: int, **fields: Any) -> Posted:
    draft = Draft(**{"text": "hi", "client_id": "a"} | fields)
    return sends.send(store, chat, rooms.sender_of(store, chat), draft).posted


def forget(store: Datastore, *, days: float = 30, limit: int = 100) -> int:
    with store.write() as session:
        before = utc_now() - timedelta(days=days)
        return retention.forget_client_ids(session, before, limit)


def make_old(store: Datastore, days: float, *which: str) -> None:
    with store.write() as session:
        of = update(ClientId).where(ClientId.client_id.in_(which))
        session.execute(of.values(created_at=utc_now() - timedelta(days=days)))


def as_old_code_left_it(store: Datastore) -> None:
    """The ids as a process from before the table leaves them."""
    with store.write() as session:
        session.execute(delete(ClientId))


def known(store: Datastore) -> tuple[set[str], set[str | None]]:
    """The ids in their own table, and those in the messages."""
    with store.read() as session:
        ids = session.scalars(select(ClientId.client_id)).all()
        of_messages = session.scalars(select(Message.client_id)).all()
    return set(ids), set(of_messages)


def count(store: Datastore) -> int:
    with store.read() as session:
        return session.scalars(select(func.count(Message.id))).one()


def test_a_repeated_message_gets_the_first_answer(store: Datastore, chat: int) -> None:
    first = say(store, chat, **FULL)

    again = say(store, chat, **FULL)

    assert (first.is_new, again.is_new) == (True, False)
    assert again.message.id == first.message.id
    assert (again.job_id, count(store)) == (first.job_id, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"text": "ho"},
        {"data": {"k": "w", "l": "w"}},
        {"data": None},
        {"mentions": [1]},
        {"silent": False},
        {"deliver_after": TOMORROW + timedelta(seconds=1)},
        {"deliver_after": None},
        {"ttl_s": 0},
    ],
)
def test_another_message_needs_another_id(
    store: Datastore, chat: int, other: dict[str, Any]
) -> None:
    first = say(store, chat, **FULL)

    with pytest.raises(ClientIdUsed) as refused:
        say(store, chat, **FULL | other)

    assert refused.value.details == {
        "field": "client_id",
        "message_id": first.message.id,
    }
    assert count(store) == 1


def test_what_means_the_same_is_the_same() -> None:
    there = timezone(timedelta(hours=2))
    draft = Draft(**FULL)
    turned = dict(reversed(FULL["data"].items()))  # type: ignore[attr-defined]

    for same in (
        {"data": turned},
        {"deliver_after": TOMORROW.astimezone(there)},
        {"client_id": "b"},
        {"mentions": []},
    ):
        assert Draft(**FULL | same).digest() == draft.digest()
    assert Draft(text="hi", ttl_s=0).digest() != Draft(text="hi").digest()


def test_an_edited_or_deleted_message_was_posted_all_the_same(
    store: Datastore, chat: int
) -> None:
    first = say(store, chat)
    sender = rooms.sender_of(store, chat)
    with store.write() as session:
        membership = chats.membership(session, chat, sender, for_update=True)
        messages.edit(session, membership, first.message.id, "ho", utc_now())
    edited = say(store, chat)
    with store.write() as session:
        membership = chats.membership(session, chat, sender, for_update=True)
        messages.delete(session, membership, first.message.id, utc_now())
    deleted = say(store, chat)

    assert (edited.message.text, deleted.message.text) == ("ho", "")
    assert edited.message.id == deleted.message.id == first.message.id


def test_an_id_outlives_its_message_and_its_job(store: Datastore, chat: int) -> None:
    first = say(store, chat, data={"k": "v"})
    with store.write() as session:
        for table in (PushFailure, PushJob, Message):
            session.execute(delete(table))

    again = say(store, chat, data={"k": "v"})

    assert again == (first.message, first.job_id, False)
    with pytest.raises(ClientIdUsed):
        say(store, chat, data={"k": "w"})


def test_a_message_without_an_id_writes_nothing_beside(
    store: Datastore, chat: int
) -> None:
    say(store, chat, client_id=None)

    assert known(store) == (set(), {None})


def test_old_ids_are_forgotten_and_may_be_used_again(
    store: Datastore, chat: int
) -> None:
    first = {each: say(store, chat, client_id=each) for each in "abcd"}
    make_old(store, 40, "b")
    make_old(store, 35, "a", "c")

    # Those of one moment go together.
    assert (forget(store, limit=1), known(store)[0]) == (1, {"a", "c", "d"})
    assert forget(store, limit=1) >= 1
    assert forget(store) == 0

    assert known(store) == ({"d"}, {"d", None})
    again = say(store, chat, client_id="a")
    assert again.is_new
    assert again.message.id > first["a"].message.id
    assert not say(store, chat, client_id="d").is_new


def test_ids_of_old_processes_are_known_while_their_jobs_are_there(
    store: Datastore, chat: int
) -> None:
    first = say(store, chat)
    as_old_code_left_it(store)

    assert say(store, chat).message.id == first.message.id
    with pytest.raises(ClientIdUsed):
        say(store, chat, text="ho")

    with store.write() as session:
        session.execute(delete(PushJob))
    assert say(store, chat).is_new
    assert count(store) == 2


def test_old_processes_know_the_ids_of_new_ones(store: Datastore, chat: int) -> None:
    first = say(store, chat)

    with store.read() as session:
        found = session.scalar(
            select(Message.id).where(
                Message.chat_id == chat,
                Message.sender_id == rooms.sender_of(store, chat),
                Message.client_id == "a",
            )
        )

    assert found == first.message.id


def test_one_of_two_contents_wins_a_race(store: Datastore, chat: int) -> None:
    other = Datastore(store.url.render_as_string(hide_password=False))

    def attempt(nth: int) -> Posted | None:
        try:
            return say((store, other)[nth % 2], chat, text="ab"[nth % 2])
        except ClientIdUsed:
            return None

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(attempt, range(12)))
    other.close()

    assert [each.is_new for each in found if each].count(True) == 1
    assert len([each for each in found if each is None]) == 6
    assert count(store) == 1


def test_a_conflict_undoes_the_whole_statement(store: Datastore, chat: int) -> None:
    """Of an id that is stored between the statement's snapshot and its insert."""
    if not store.is_postgresql:
        pytest.skip("only PostgreSQL sends by one statement")
    sender = rooms.sender_of(store, chat)
    row = ClientId(
        chat_id=chat,
        sender_id=sender,
        client_id="a",
        message_id=1,
        job_id=1,
        seq=1,
        digest=Draft(text="hi").digest(),
        created_at=utc_now(),
    )
    with ThreadPoolExecutor(1) as threads:
        with store.write() as session:
            session.add(row)
            session.flush()
            sending = threads.submit(say, store, chat)
            until(lambda: databases.waiting_for_locks(store) == 1)
        again = sending.result(20)

    assert (again.is_new, count(store)) == (False, 0)
