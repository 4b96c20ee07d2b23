"""Rate limits by a leaky bucket."""

import pytest

from api import rate_limits
from api.rate_limits import RateLimit
from models.errors import TooMany
from tests.support.clock import Clock


@pytest.fixture
def clock():
    return Clock()


def taken(limit, key, count):
    done = 0
    for _ in range(count):
        try:
            limit.take(key)
        except TooMany:
            continue
        done += 1
    return done


def test_ten_seconds_worth_may_come_at_once(clock):
    assert taken(RateLimit(60, clock), 1, 100) == 10


def test_after_the_burst_they_come_at_the_rate(clock):
    limit = RateLimit(60, clock)
    taken(limit, 1, 100)

    for _ in range(20):
        clock.now += 1
        assert taken(limit, 1, 5) == 1


def test_refusal_says_when_to_come_back(clock):
    limit = RateLimit(6, clock)
    limit.take(1)
    with pytest.raises(TooMany) as refused:
        limit.take(1)

    clock.now += refused.value.details["retry_after_s"]

    limit.take(1)


def test_slow_limit_still_lets_one_through(clock):
    assert taken(RateLimit(1, clock), 1, 5) == 1


def test_zero_is_no_limit(clock):
    assert taken(RateLimit(0, clock), 1, 1000) == 1000


def test_keys_do_not_share(clock):
    limit = RateLimit(60, clock)
    taken(limit, 1, 100)

    assert taken(limit, 2, 100) == 10


def test_memory_is_bounded_and_busy_keys_are_kept(clock, monkeypatch):
    monkeypatch.setattr(rate_limits, "MAX_KEYS", 100)
    limit = RateLimit(60, clock)
    taken(limit, 1, 100)
    for key in range(2, 95):
        limit.take(key)
    clock.now += 5
    for key in range(200, 300):
        limit.take(key)

    assert len(limit._empty_at) < 130
    assert taken(limit, 1, 100) == 5
