"""One sender's heap takes its share of a claim, and not all of it."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import update

from datastore import Datastore, outbox
from datastore.outbox import Claim, claims
from datastore.outbox.fairness import Room
from models.base import utc_now
from models.pushes import PushJob
from tests.support import chats

LEASE = timedelta(seconds=30)
HEAP = 60


def claim(
    store: Datastore, *, limit: int, room: Room | None = None, owner: str = "a"
) -> list[Claim]:
    now = utc_now()
    with store.write() as session:
        ids = claims.claim(
            session, owner, limit=limit, room=room, now=now, lease_until=now + LEASE
        )
        return outbox.load(session, owner, ids)


def room(under_way: Mapping[int, int], reserve: int) -> Room:
    return Room(lambda: under_way, reserve)


def heap(store: Datastore) -> tuple[int, list[int]]:
    """A sender with a message in each of many chats; the sender and the jobs."""
    sender, member = chats.add_user(store), chats.add_user(store)
    joined = chats.join_chats(store, [sender, member], HEAP)
    return sender, [chats.post(store, chat) for chat in joined]


def test_others_are_claimed_before_most_of_a_heap(store: Datastore) -> None:
    sender, _ = heap(store)
    others = [chats.post(store, chats.make_chat(store, 1)) for _ in range(5)]
    heap(store)

    mine = claim(store, limit=12)

    assert set(others) < {each.job_id for each in mine}
    assert len(mine) == 12
    assert sum(each.sender_id == sender for each in mine) <= 4


def test_the_last_places_are_not_for_a_sender_who_has_many(store: Datastore) -> None:
    sender, jobs = heap(store)
    few = room({sender: 40}, reserve=10)

    assert claim(store, limit=10, room=few) == []
    other = chats.post(store, chats.make_chat(store, 1))
    assert [each.job_id for each in claim(store, limit=10, room=few)] == [other]
    # It gets them when jobs of it have ended.
    mine = claim(store, limit=10, room=room({sender: 4}, reserve=10))
    assert {each.job_id for each in mine} < set(jobs)


def test_nobody_is_asked_who_sends_while_there_is_enough_room(
    store: Datastore,
) -> None:
    def ask() -> Mapping[int, int]:
        raise AssertionError("the usual claim does not need it")

    _, jobs = heap(store)

    mine = claim(store, limit=3 * HEAP, room=Room(ask, reserve=10))

    assert [each.job_id for each in mine] == jobs


def test_retries_get_a_quarter_of_a_crowded_claim(store: Datastore) -> None:
    _, retries = heap(store)
    with store.write() as session:
        values = {"due_at": utc_now() - timedelta(seconds=9), "attempts": 1}
        session.execute(update(PushJob).values(values))
    heap(store)

    mine = {each.job_id for each in claim(store, limit=20)}

    assert len(mine) == 20
    assert len(mine & set(retries)) == 5


def test_engines_that_claim_in_a_crowd_share_it(store: Datastore) -> None:
    heap(store)

    both = [claim(store, limit=20, owner=owner) for owner in ("a", "b", "c")]

    taken = [each.job_id for mine in both for each in mine]
    assert len(taken) == len(set(taken)) == HEAP


def test_a_chat_gets_no_more_followers_than_its_share(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MOST_OF_CHAT", 3)
    monkeypatch.setattr(claims, "_FOLLOWERS", claims.PreparedForIds(claims._followers))
    busy, quiet = chats.make_chat(store, 1), chats.make_chat(store, 1)
    jobs = [chats.post(store, busy) for _ in range(9)]
    jobs += [chats.post(store, quiet) for _ in range(2)]

    now = utc_now()
    with store.write() as session:
        ids = claims.claim(
            session, "a", limit=9, chain=99, now=now, lease_until=now + LEASE
        )

    assert sorted(ids) == [*jobs[:4], *jobs[9:]]
