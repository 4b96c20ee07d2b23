"""First tries and retries go to the same devices, whatever has changed in between."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from datastore import Datastore, outbox
from datastore.outbox import Claim, claims, fanout, retries
from models.accounts import Device
from models.base import utc_now
from models.pushes import MESSAGE, READ, WITHDRAW, PushFailure, Target
from tests.support import audience_changes, chats
from tests.support.audience_changes import CHANGES, Change, Phone

KINDS = [MESSAGE, WITHDRAW, READ]


def sent(store: Datastore) -> tuple[Claim, Phone]:
    """A message to four members, the first of which has a phone that said "later"."""
    chat = chats.make_chat(store, 4)
    chats.post(store, chat)
    now = utc_now()
    with store.write() as session:
        lease_until = now + timedelta(seconds=30)
        ids = claims.claim(session, "a", limit=1, now=now, lease_until=lease_until)
        [claim] = outbox.load(session, "a", ids)
        sender = claim.sender_id
        user = sender + 1
        query = select(Device.id).where(Device.user_id == user)
        device = session.scalars(query).one()
        failure = {"job_id": claim.job_id, "device_id": device, "attempts": 1}
        failure |= {"outcome": "later", "reason": "busy", "next_attempt_at": now}
        session.execute(insert(PushFailure), [failure])
    return claim, Phone(chat, device, user=user, sender=sender, other_member=user + 1)


def as_kind(claim: Claim, phone: Phone, kind: str) -> Claim:
    """As if the job were a withdrawal of the message, or the user's read mark."""
    return replace(claim, kind=kind, only_user=phone.user if kind == READ else None)


def change(store: Datastore, phone: Phone, what: Change) -> None:
    with store.write() as session:
        what(session, phone)


def due(store: Datastore, claim: Claim) -> tuple[Sequence[Target], Sequence[int]]:
    with store.read() as session:
        found = retries.find_due(session, claim, limit=10, now=utc_now())
    assert found is not None
    return found


def first(store: Datastore, claim: Claim) -> list[Target]:
    found = fanout.next_targets(store, claim, after=(0, 0), limit=100, now=utc_now())
    assert found is not None
    return found


@pytest.mark.parametrize("what", CHANGES, ids=lambda what: what.__name__)
def test_retries_and_first_tries_go_to_the_audience(
    store: Datastore, what: Change
) -> None:
    message, phone = sent(store)

    change(store, phone, what)

    for kind in KINDS:
        claim = as_kind(message, phone, kind)
        tried = {target.device_id: target for target in first(store, claim)}
        assert (phone.device in tried) == (kind in CHANGES[what].tried), kind
        # A phone may also change to a user of another part (shard) of a large job.
        for until_user in (None, phone.user):
            part = replace(claim, until_user=until_user)
            targets, pointless = due(store, part)
            is_retried = kind in CHANGES[what].retried
            assert [each.device_id for each in targets] == [phone.device] * is_retried
            assert pointless == [phone.device] * (not is_retried)
        for target in targets:
            again = target._replace(attempts=0, outcome=None)
            assert again == tried.get(phone.device, again)


def test_a_muted_member_who_is_mentioned_gets_the_retry(store: Datastore) -> None:
    claim, phone = sent(store)
    mentioned = replace(claim, mentions=(phone.user,))
    other = replace(claim, mentions=(phone.other_member,))

    change(store, phone, audience_changes.muted)

    assert [target.device_id for target in due(store, mentioned)[0]] == [phone.device]
    assert due(store, other) == ([], [phone.device])


def test_a_mention_lets_nobody_else_in(store: Datastore) -> None:
    claim, phone = sent(store)

    change(store, phone, audience_changes.signed_in_by_a_later_member)

    with store.read() as session:
        user = session.get_one(Device, phone.device).user_id
    mentioned = replace(claim, mentions=(user,))
    assert due(store, mentioned) == ([], [phone.device])


def test_a_withdrawal_does_not_show_the_unread_messages_of_another_user(
    store: Datastore,
) -> None:
    message, phone = sent(store)
    claim = as_kind(message, phone, WITHDRAW)
    first_badge = due(store, claim)[0][0].badge

    change(store, phone, audience_changes.signed_in_by_a_stranger)

    [target] = due(store, claim)[0]
    assert (first_badge, target.badge) == (1, 0)


def test_a_retry_knows_the_language_of_its_device(store: Datastore) -> None:
    message, phone = sent(store)
    with store.write() as session:
        session.get_one(Device, phone.device).locale = "de-AT"

    [target] = due(store, message)[0]

    assert target.locale == "de-AT"
