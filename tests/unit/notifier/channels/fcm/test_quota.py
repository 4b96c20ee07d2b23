"""The rate limit holds from the first second, and its rate rises slowly."""

import asyncio

from notifier.channels.fcm.quota import BURST, IDLE_RESET_S, RAMP_S, Quota
from tests.support.clock import Clock


def sent_within(quota: Quota, clock: Clock, seconds: float, batch: int = 100) -> int:
    """How many pushes may be sent in that time."""
    end, sent = clock.now + seconds, 0
    while clock.now < end:
        pause_s = quota.try_take(batch)
        clock.now += pause_s
        if not pause_s:
            sent += batch
            # Sending itself takes a little while.
            clock.now += 1e-6
    return sent


def test_a_small_conversation_does_not_wait() -> None:
    assert Quota(10_000, clock=Clock()).try_take(500) == 0


def test_the_first_minute_rises_to_the_full_rate() -> None:
    clock = Clock()
    quota = Quota(10_000, clock=clock)

    first = sent_within(quota, clock, 10)
    sent_within(quota, clock, RAMP_S - 10)
    later = sent_within(quota, clock, 10)

    assert first < 10 * 10_000 * 0.3
    assert 10 * 10_000 * 0.95 < later <= 10 * 10_000 * 1.01 + BURST


def test_no_minute_exceeds_the_quota() -> None:
    clock = Clock()
    quota = Quota(10_000, clock=clock)

    minutes = [sent_within(quota, clock, 60) for _ in range(4)]

    assert max(minutes) <= 600_000 + BURST


def test_after_a_long_idle_time_the_ramp_starts_again() -> None:
    clock = Clock()
    quota = Quota(10_000, clock=clock)
    sent_within(quota, clock, 2 * RAMP_S)
    clock.now += IDLE_RESET_S + 1

    assert sent_within(quota, clock, 5) < 5 * 10_000 * 0.3


def test_more_than_the_bucket_holds_is_paid_for_afterwards() -> None:
    clock = Clock()
    quota = Quota(1_000, clock=clock)

    at_once = quota.try_take(5_000)
    pause_s = quota.try_take(1)

    assert at_once == 0
    assert pause_s > 4_000 / 1_000


def test_waiters_are_let_through_in_order() -> None:
    async def play() -> list[int]:
        quota, order = Quota(100_000), []

        async def send(number: int) -> None:
            await quota.take(900)
            order.append(number)

        await asyncio.gather(*(send(number) for number in range(5)))
        return order

    assert asyncio.run(play()) == [0, 1, 2, 3, 4]
