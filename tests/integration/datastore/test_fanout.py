"""The fan-out finds the right devices, at a cost that does not grow with the chat."""

from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from datastore import Datastore, mariadb, outbox
from datastore.outbox import Claim, claims, fanout
from models.accounts import Device
from models.base import utc_now
from models.chats import Chat, Member, Message
from models.pushes import READ, WITHDRAW, Target
from tests.support import chats
from tests.support.query_plans import analyze, plan_of

START = (0, 0)


def claimed(store: Datastore, chat_id: int) -> Claim:
    chats.post(store, chat_id)
    now = utc_now()
    with store.write() as session:
        lease_until = now + timedelta(seconds=30)
        ids = claims.claim(session, "a", limit=1, now=now, lease_until=lease_until)
        [claim] = outbox.load(session, "a", ids)
    return claim


def change(store: Datastore, statement: Any) -> None:
    with store.write() as session:
        session.execute(statement)


def batch(
    store: Datastore, claim: Claim, after: tuple[int, int] = START, limit: int = 1000
) -> list[Target]:
    found = fanout.next_targets(store, claim, after=after, limit=limit, now=utc_now())
    assert found is not None
    return found


def test_every_member_but_the_sender_is_addressed(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 3))

    users = [target.user_id for target in batch(store, claim)]

    assert users == [2, 3, 4]
    assert claim.sender_id == 1


def test_a_batch_has_every_field_of_a_device(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 3))

    targets = batch(store, claim)

    assert {len(target) for target in targets} == {len(Target._fields)}


def test_batches_continue_where_the_last_one_ended(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 5, devices_each=3))

    seen: list[Target] = []
    after = START
    while found := batch(store, claim, after, limit=4):
        seen += found
        after = found[-1][:2]

    keys = [target[:2] for target in seen]
    assert len(set(keys)) == len(keys) == 15
    assert keys == sorted(keys)


def test_members_who_joined_after_the_message_are_not_addressed(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 2)
    claim = claimed(store, chat)
    change(
        store, update(Member).where(Member.user_id == 3).values(joined_seq=claim.seq)
    )

    assert [target.user_id for target in batch(store, claim)] == [2]


def test_muted_members_are_left_out_until_the_mute_ends(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 3))
    soon, past = utc_now() + timedelta(hours=1), utc_now() - timedelta(hours=1)
    change(store, update(Member).where(Member.user_id == 2).values(muted_until=soon))
    change(store, update(Member).where(Member.user_id == 3).values(muted_until=past))

    assert [target.user_id for target in batch(store, claim)] == [3, 4]


def test_a_mentioned_member_is_addressed_in_spite_of_the_mute(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 3))
    soon = utc_now() + timedelta(hours=1)
    change(store, update(Member).values(muted_until=soon))

    told = batch(store, replace(claim, mentions=(3,)))

    assert [target.user_id for target in told] == [3]


def test_a_withdrawal_reaches_muted_members_too(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 2))
    change(store, update(Member).values(muted_until=utc_now() + timedelta(hours=1)))
    change(store, update(Message).values(deleted_at=utc_now()))

    told = batch(store, replace(claim, kind=WITHDRAW))

    assert [target.user_id for target in told] == [2, 3]


def test_a_read_mark_goes_to_the_readers_own_devices_only(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 3, devices_each=2))

    told = batch(store, replace(claim, kind=READ, only_user=claim.sender_id))

    assert [target.user_id for target in told] == [claim.sender_id] * 2


def test_disabled_devices_are_left_out(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 2))
    change(
        store, update(Device).where(Device.user_id == 2).values(disabled_at=utc_now())
    )

    assert [target.user_id for target in batch(store, claim)] == [3]


def test_reading_many_claims_together_equals_reading_each(store: Datastore) -> None:
    sizes = [3, 0, 5, 1, 2, 4, 1, 3, 2, 6]
    silent = chats.make_chat(store, 4)
    loaded = [claimed(store, chats.make_chat(store, n, devices_each=2)) for n in sizes]
    muted_until = utc_now() + timedelta(hours=1)
    change(
        store,
        update(Member).where(Member.chat_id == silent).values(muted_until=muted_until),
    )
    loaded.append(claimed(store, silent))
    loaded.append(replace(loaded[0], job_id=-1, mentions=[2]))
    loaded.append(replace(loaded[2], job_id=-2, cursor=batch(store, loaded[2])[3][:2]))
    change(store, update(Device).where(Device.id % 3 == 0).values(locale="ja"))

    with store.read() as session:
        found = fanout.first_targets(session, loaded, limit=7, now=utc_now())

    assert found == {
        claim.job_id: batch(store, claim, claim.cursor, limit=7) for claim in loaded
    }
    counts = [len(found[claim.job_id]) for claim in loaded]
    # Ten chats, one that is muted, and two odd claims.
    assert counts == [6, 0, 7, 2, 4, 7, 2, 6, 4, 7, 0, 6, 6]
    assert {target.locale for target in found[loaded[0].job_id]} == {"ja", None}


def test_counting_agrees_with_reading(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 7, devices_each=2))
    third = batch(store, claim, limit=3)[-1][:2]

    with store.read() as session:
        rest = fanout.count_targets(session, claim, after=third, now=utc_now())

    assert rest == 14 - 3


@pytest.mark.parametrize("what", [Message, Chat])
def test_a_deleted_message_or_chat_ends_the_fan_out(
    store: Datastore, what: Any
) -> None:
    claim = claimed(store, chats.make_chat(store, 2))
    change(store, update(what).values(deleted_at=utc_now()))

    found = fanout.next_targets(store, claim, after=START, limit=10, now=utc_now())

    assert found is None


def test_a_batch_is_read_by_index_without_a_sort(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 3000))

    analyze(store, "member", "device")
    plan = plan_of(
        store, lambda: batch(store, claim, after=(5, 5), limit=100), about="device"
    )

    if store.is_sqlite:
        assert not [line for line in plan if "TEMP B-TREE" in line], plan
        scans = [line for line in plan if line.startswith("SCAN")]
        # Of the batch itself, to return it as one row.
        assert scans in ([], ["SCAN anon_1"]), plan
    elif mariadb.is_meant(store.url):
        # It sorts by the columns of two tables; see docs/scaling.md.
        assert not [line for line in plan if " ALL " in line], plan
    else:
        sorts = [line for line in plan if "Sort Key" in line]
        # Without deleted messages their table is empty, and any plan is as good.
        assert not [line for line in sorts if "uncounted" not in line], plan
        for table in ("member", "device"):
            assert not [line for line in plan if f"Seq Scan on {table}" in line], plan
    assert any("ix_device_user_id_id" in line for line in plan), plan


def test_a_batch_has_the_values_of_all_devices(store: Datastore) -> None:
    chat = chats.make_chat(store, 3)
    claim = claimed(store, chat)
    times = {2: utc_now(), 3: utc_now().replace(microsecond=0)}
    tokens = {2: '{"url": "https://push.example/ü"}', 3: "it's \\ \u2028 one@example"}
    for user, time in times.items():
        values = {"app": f"app of {user}", "environment": "sandbox"}
        values |= {"token": tokens[user], "registered_at": time, "locale": f"de-{user}"}
        change(store, update(Device).where(Device.user_id == user).values(values))

    found = {target.user_id: target for target in batch(store, claim)}

    assert {user: found[user].token for user in tokens} == tokens
    assert {user: found[user].registered_at for user in times} == times
    assert all(found[user].registered_at.tzinfo is UTC for user in times)
    assert [found[2].app, found[4].app] == ["app of 2", None]
    assert [found[2].environment, found[4].environment] == ["sandbox", "production"]
    assert [target.badge for target in found.values()] == [1, 1, 1]
    assert [found[user].locale for user in (2, 3, 4)] == ["de-2", "de-3", None]
    assert all(isinstance(target, Target) for target in found.values())
    assert {target.attempts for target in found.values()} == {0}


def test_devices_are_counted_without_reading_their_rows(store: Datastore) -> None:
    claim = claimed(store, chats.make_chat(store, 3000))
    if not store.is_sqlite and not mariadb.is_meant(store.url):
        # Until then, PostgreSQL looks into the rows to see whether they are visible.
        with store.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("VACUUM ANALYZE device"))

    def count() -> None:
        with store.read() as session:
            fanout.count_targets(session, claim, after=(0, 0), now=utc_now())

    plan = plan_of(store, count, about="device")

    if store.is_sqlite:
        assert any("COVERING INDEX ix_device_" in line for line in plan), plan
    elif not mariadb.is_meant(store.url):
        only = "Index Only Scan using ix_device_user_id_id_disabled_at"
        assert any(only in line for line in plan), plan


def test_the_devices_of_a_moment_serve_each_message_like_a_read_of_its_own(
    store: Datastore,
) -> None:
    """For each sender, number and mention, `choose` finds what the query finds."""
    chat = chats.make_chat(store, 6, devices_each=2)
    claim = claimed(store, chat)
    now = utc_now()
    of_chat = Member.chat_id == chat
    for user, values in (
        (3, {"muted_until": now + timedelta(hours=1)}),
        (4, {"muted_until": now - timedelta(hours=1)}),
        (5, {"joined_seq": 2}),
        (6, {"muted_until": now + timedelta(hours=1), "joined_seq": 1}),
    ):
        change(
            store, update(Member).where(of_chat, Member.user_id == user).values(values)
        )
    change(store, update(Device).where(Device.user_id == 7).values(disabled_at=now))
    change(store, update(Device).where(Device.id % 2 == 0).values(locale="pt-BR"))
    batch(store, replace(claim, seq=9))

    with store.read() as session:
        found = fanout.listeners(session, claim, 9, limit=100)
    assert found is not None
    for sender in (1, 2, 3):
        for seq in (1, 2, 3):
            for mentions in ((), (3,), (3, 6)):
                other = replace(claim, sender_id=sender, seq=seq, mentions=mentions)
                assert fanout.choose(found, other, now) == batch(store, other)


def test_the_devices_of_a_moment_are_not_read_for_large_chats_or_parts(
    store: Datastore,
) -> None:
    claim = claimed(store, chats.make_chat(store, 6))
    batch(store, claim)

    with store.read() as session:
        # Six members and the sender.
        assert fanout.listeners(session, claim, 1, limit=8) is not None
        for other, limit in (
            (claim, 7),
            (replace(claim, cursor=(2, 2)), 8),
            (replace(claim, until_user=3), 8),
            (replace(claim, kind=READ, only_user=2), 8),
        ):
            assert fanout.listeners(session, other, 1, limit=limit) is None
