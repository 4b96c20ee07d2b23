"""How long a message waits for its digest, and which messages share a mail."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.pushes import Notification
from notifier.channels.email import digest
from notifier.channels.email.digest import DigestEntry, Digests, DigestsFull
from notifier.outcome import ACCEPTED, ChannelDown, Outcome
from tests.support.notifications import make_notification, make_target
from tests.support.wait import eventually

START = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)
WINDOW_S = 60.0


def _pause_s(
    notification: Notification, *, attempts: int = 0, after_s: float = 0
) -> float | None:
    now = notification.created_at + timedelta(seconds=after_s)
    return digest.pause_s(notification, make_target(attempts=attempts), now, WINDOW_S)


def _end(notification: Notification) -> float:
    """When its digest is sent."""
    pause_s = _pause_s(notification)
    assert pause_s is not None
    return notification.created_at.timestamp() + pause_s


@given(st.integers(0, 10**9), st.integers(1, 2**40))
def test_a_message_waits_for_a_minute_at_most(second: int, chat_id: int) -> None:
    notification = make_notification(
        created_at=START + timedelta(seconds=second), chat_id=chat_id
    )

    assert 1 <= (_pause_s(notification) or 0) <= WINDOW_S


def test_most_messages_of_a_minute_leave_together() -> None:
    notifications = [
        make_notification(created_at=START + timedelta(seconds=s)) for s in range(60)
    ]

    ends = {round(_end(notification)) for notification in notifications}

    # A minute overlaps with two windows; rounding may make them three.
    assert len(ends) <= 3


def test_whenever_it_is_looked_at_the_end_is_the_same() -> None:
    notification = make_notification(created_at=START)
    end = _end(notification)

    again = [_pause_s(notification, after_s=s) for s in (0.5, 1.0)]

    assert [s + (p or 0) for s, p in zip((0.5, 1.0), again, strict=True)] == (
        pytest.approx([end - START.timestamp()] * 2)
    )


def test_conversations_do_not_all_leave_in_the_same_second() -> None:
    ends = {
        round(_end(make_notification(created_at=START, chat_id=n)))
        for n in range(1, 100)
    }

    assert len(ends) > 40


def test_after_its_minute_a_message_waits_no_more() -> None:
    assert _pause_s(make_notification(created_at=START), attempts=1, after_s=60) is None


def test_an_old_message_waits_a_moment_at_its_first_try_only() -> None:
    notification = make_notification(created_at=START)

    assert _pause_s(notification, after_s=3600) == 1.0
    assert _pause_s(notification, attempts=1, after_s=3600) is None


def test_a_message_that_would_expire_meanwhile_does_not_wait() -> None:
    notification = make_notification(
        created_at=START, expires_at=START + timedelta(seconds=20)
    )

    assert _pause_s(notification) is None


def test_without_digests_only_the_first_try_is_put_off() -> None:
    notification, first, second = (
        make_notification(),
        make_target(),
        make_target(attempts=1),
    )

    assert digest.pause_s(notification, first, notification.created_at, 0) == 1.0
    assert digest.pause_s(notification, second, notification.created_at, 0) is None


class FakeRelay:
    """Remembers which messages were sent in one mail."""

    def __init__(self, outcome: Outcome | Exception = ACCEPTED) -> None:
        self.outcome = outcome
        self.mails: list[tuple[str, list[int]]] = []

    async def deliver(self, address: str, entries: Sequence[DigestEntry]) -> Outcome:
        self.mails.append(
            (address, [entry.notification.message_id for entry in entries])
        )
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def _add(
    digests: Digests, message_id: int, address: str = "a@x.example", chat_id: int = 3
) -> asyncio.Future[Outcome]:
    notification = make_notification(message_id=message_id, chat_id=chat_id)
    return digests.add(notification, make_target(), address)


async def test_messages_of_a_conversation_to_one_address_share_a_mail() -> None:
    relay = FakeRelay()
    digests = Digests(relay.deliver, collect_s=0)

    added = [
        _add(digests, 1),
        _add(digests, 2),
        _add(digests, 3, address="b@x.example"),
        _add(digests, 4, chat_id=4),
    ]

    assert await asyncio.gather(*added) == [ACCEPTED] * 4
    assert sorted(relay.mails) == [
        ("a@x.example", [1, 2]),
        ("a@x.example", [4]),
        ("b@x.example", [3]),
    ]


async def test_a_cancelled_push_is_not_in_the_mail() -> None:
    relay = FakeRelay()
    digests = Digests(relay.deliver, collect_s=0)
    first, second = _add(digests, 1), _add(digests, 2)

    first.cancel()

    assert await second == ACCEPTED
    assert relay.mails == [("a@x.example", [2])]


async def test_a_mail_whose_pushes_are_all_cancelled_is_not_sent() -> None:
    relay = FakeRelay()
    digests = Digests(relay.deliver, collect_s=0)

    _add(digests, 1).cancel()
    await digests.close()

    assert relay.mails == []


async def test_the_messages_of_a_mail_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digest, "MAX_MESSAGES", 2)
    relay = FakeRelay()
    digests = Digests(relay.deliver, collect_s=0)

    await asyncio.gather(*(_add(digests, number) for number in range(5)))

    assert [messages for _, messages in relay.mails] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("error", [ChannelDown("no server"), RuntimeError("a bug")])
async def test_an_error_reaches_every_push_of_the_mail(error: Exception) -> None:
    digests = Digests(FakeRelay(error).deliver, collect_s=0)

    added = [_add(digests, 1), _add(digests, 2)]
    ends = await asyncio.gather(*added, return_exceptions=True)

    assert [type(end) for end in ends] == [ChannelDown] * 2


async def test_a_closed_digest_takes_no_more_messages() -> None:
    digests = Digests(FakeRelay().deliver, collect_s=60)
    waiting = _add(digests, 1)

    await digests.close()

    with pytest.raises(ChannelDown, match="closed"):
        await waiting
    with pytest.raises(ChannelDown, match="closed"):
        _add(digests, 2)


async def test_one_address_has_its_share_of_the_mails_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digest, "MOST_OF_ADDRESS", 2)
    relay = FakeRelay()
    digests = Digests(relay.deliver, collect_s=0)
    first = [_add(digests, number, chat_id=number) for number in range(2)]

    with pytest.raises(DigestsFull):
        _add(digests, 3, chat_id=3)
    # It concerns neither a mail that is being collected nor other addresses.
    first.append(_add(digests, 4, chat_id=1))
    first.append(_add(digests, 5, address="b@x.example"))

    assert await asyncio.gather(*first) == [ACCEPTED] * 4
    await eventually(lambda: not digests._tasks)
    assert await _add(digests, 3, chat_id=3) == ACCEPTED


async def test_mails_under_way_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "MOST_MAILS", 1)
    digests = Digests(FakeRelay().deliver, collect_s=0)
    first = _add(digests, 1)

    with pytest.raises(DigestsFull):
        _add(digests, 2, address="b@x.example")

    assert await first == ACCEPTED
