"""What a claim knows of the look of its notification, and what that costs."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from datastore import Datastore, kinds
from datastore.outbox import Claim, due_work, looks
from models.accounts import User
from models.base import utc_now
from models.chats import Chat, Member, Message
from models.pushes import Notification, PushJob
from tests.support import chats, outbox, query_plans

MESSAGE = {"members": True, "apns": {"aps": {"sound": "message.caf"}}}
MENTION = {"members": False, "apns": {"aps": {"sound": "mention.caf"}}}
CALL = {"members": True, "apns": {"aps": {"sound": "call.caf"}}}
DEFINITIONS = {"message": MESSAGE, "mention": MENTION, "call": CALL}
COUNTING = {
    "patterns": {"default": {"body": "{members} read it"}},
}
PLURAL = {
    "patterns": {"default": {"body": {"count": "members", "other": "They read it"}}},
}


@pytest.fixture(autouse=True)
def _know_nothing() -> Iterator[None]:
    looks._known.clear()
    yield
    looks._known.clear()


def define(store: Datastore, **definitions: dict[str, Any]) -> None:
    with store.write() as session:
        for name, definition in definitions.items():
            kinds.save(session, name, definition, utc_now())


def post(store: Datastore, chat: int, **columns: Any) -> int:
    """A message with these columns; returns its job."""
    job_id = chats.post(store, chat)
    with store.write() as session:
        message_id = session.get_one(PushJob, job_id).message_id
        session.execute(
            update(Message).where(Message.id == message_id).values(**columns)
        )
    return job_id


def claimed(store: Datastore, **columns: Any) -> Notification:
    post(store, chats.make_chat(store, 2), **{"text": "hello", **columns})
    [claim] = outbox.claim(store, "a")
    return claim.notification


def test_sender_and_conversation_are_told_to_apps(store: Datastore) -> None:
    chat = chats.make_chat(store, 2)
    sender = chats.sender_of(store, chat)
    with store.write() as session:
        user = session.get_one(User, sender)
        user.external_id, user.avatar_url = "u-1", "https://example.org/1.png"
        session.get_one(Chat, chat).external_id = "c-1"
    post(store, chat, mentions=[2, 3])

    [claim] = outbox.claim(store, "a")

    found = claim.notification
    assert (found.sender_id, found.sender_external_id) == (sender, "u-1")
    assert found.sender_avatar == "https://example.org/1.png"
    assert found.chat_external_id == "c-1"
    assert found.mentions == {2, 3}
    assert (found.definition, found.mention_definition) == (None, None)
    assert (found.changes, found.members, found.shown) == (None, None, None)


def test_what_is_not_known_is_absent(store: Datastore) -> None:
    found = claimed(store)

    absent = (
        found.sender_external_id,
        found.sender_avatar,
        found.chat_external_id,
        found.definition,
        found.changes,
    )
    assert absent == (None,) * 5
    assert found.mentions == frozenset()


@pytest.mark.parametrize(
    ("members", "is_group"), [(0, False), (1, False), (2, True), (9, True)]
)
def test_a_group_has_more_than_two_members(
    store: Datastore, members: int, is_group: bool
) -> None:
    # Another one must not count.
    chats.make_chat(store, 5)
    chats.post(store, chats.make_chat(store, members))

    [claim] = outbox.claim(store, "a")

    assert claim.notification.is_group is is_group


@pytest.mark.parametrize(
    ("kind", "mentions", "definition", "of_mentions"),
    [
        (None, None, MESSAGE, None),
        (None, [2], MESSAGE, MENTION),
        ("message", [2], MESSAGE, MENTION),
        ("call", None, CALL, None),
        # What is not an ordinary message stays what it is for those mentioned, too.
        ("call", [2], CALL, None),
        # It was removed since.
        ("former", None, MESSAGE, None),
    ],
)
def test_a_message_has_the_definitions_of_its_kind(
    store: Datastore,
    kind: str | None,
    mentions: list[int] | None,
    definition: dict[str, Any],
    of_mentions: dict[str, Any] | None,
) -> None:
    define(store, **DEFINITIONS)
    changes = {"fcm": {"data_only": True}}

    found = claimed(store, kind=kind, mentions=mentions, notification=changes)

    assert found.definition == definition
    assert found.mention_definition == of_mentions
    assert found.changes == changes


def test_the_kind_of_mentions_needs_no_kind_of_messages(store: Datastore) -> None:
    define(store, mention=MENTION)

    found = claimed(store, mentions=[2])

    assert (found.definition, found.mention_definition) == (None, MENTION)


@pytest.mark.parametrize("pattern", [COUNTING, PLURAL], ids=["text", "plural"])
@pytest.mark.parametrize("place", ["definition", "mention", "changes"])
def test_members_are_counted_if_a_pattern_asks(
    store: Datastore, pattern: dict[str, Any], place: str
) -> None:
    define(store, call=CALL)
    columns: dict[str, Any] = {"mentions": [2]}
    if place == "changes":
        columns["notification"] = pattern
    else:
        define(store, **{"message" if place == "definition" else "mention": pattern})
    chat = chats.make_chat(store, 4)
    other = chats.make_chat(store, 6)
    post(store, chat, **columns)
    post(store, other, kind="call")

    found = {each.chat_id: each.notification for each in outbox.claim(store, "a")}

    assert (found[chat].members, found[other].members) == (5, None)


def load(store: Datastore, *ids: int) -> list[Claim]:
    with store.read() as session:
        return due_work.outbox.load(session, "a", ids)


def statements(store: Datastore, *ids: int) -> list[str]:
    return [
        sql for sql, _ in query_plans.statements_of(store, lambda: load(store, *ids))
    ]


def test_messages_cost_one_statement_while_there_are_no_kinds(store: Datastore) -> None:
    ids = [post(store, chats.make_chat(store, 2), mentions=[1]) for _ in range(3)]
    outbox.claim(store, "a")

    assert len(statements(store, *ids)) == 1
    assert len(statements(store, *ids)) == 1


def test_definitions_are_read_when_they_have_changed(store: Datastore) -> None:
    job_id = post(store, chats.make_chat(store, 2), kind="call")
    outbox.claim(store, "a")
    define(store, call=CALL)

    costs = [len(statements(store, job_id)) for _ in range(3)]
    define(store, call=MENTION)
    [claim] = load(store, job_id)

    assert costs == [2, 1, 1]
    assert claim.notification.definition == MENTION


def test_a_clock_that_is_behind_hides_no_change(store: Datastore) -> None:
    job_id = post(store, chats.make_chat(store, 2), kind="call")
    outbox.claim(store, "a")
    define(store, call=CALL)
    load(store, job_id)
    with store.write() as session:
        earlier = utc_now().replace(year=2020)
        kinds.save(session, "call", MENTION, earlier)

    [claim] = load(store, job_id)

    assert claim.notification.definition == MENTION


def test_a_removed_kind_is_forgotten_after_a_moment(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(store, **DEFINITIONS)
    job_id = post(store, chats.make_chat(store, 2), kind="message")
    outbox.claim(store, "a")
    with store.write() as session:
        kinds.remove(session, "message")
    [before] = load(store, job_id)

    monkeypatch.setattr(looks, "MAX_AGE_S", 0.0)
    [after] = load(store, job_id)

    assert before.notification.definition == MESSAGE
    assert after.notification.definition is None


def test_the_third_member_is_found_by_an_index(store: Datastore) -> None:
    chat = chats.make_chat(store, 3000)
    job_id = chats.post(store, chat)
    outbox.claim(store, "a")
    query_plans.analyze(store, "member")

    plan = query_plans.plan_of(store, lambda: load(store, job_id), about="push_job")

    if store.is_sqlite:
        [line] = [each for each in plan if " member " in each]
        assert line.startswith("SEARCH member USING")
        assert not [each for each in plan if "TEMP B-TREE" in each], plan
    elif store.is_postgresql:
        assert not [each for each in plan if "Seq Scan on member" in each], plan
        assert not [each for each in plan if "Sort Key" in each], plan
    with store.read() as session:
        assert len(session.scalars(select(Member.user_id)).all()) == 3001
