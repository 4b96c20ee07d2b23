"""Pauses between dials after failures, and the limit of the dial rate."""

from types import SimpleNamespace

import pytest

from notifier.http2.backoff import Backoff, DialRate


def _ended(
    answers: int = 0, *, graceful: bool = False, opened: int = 1, flooded: bool = False
) -> object:
    return SimpleNamespace(
        answers=answers,
        graceful=graceful,
        has_sent=opened > 0,
        reason="it broke",
        is_flooded=flooded,
    )


def test_there_is_no_pause_at_first():
    assert Backoff().down(now=0) is None


def test_the_pause_grows_with_every_failure_up_to_a_minute():
    backoff = Backoff()
    pauses = []

    for minute in range(12):
        backoff.failed("refused", now=100 * minute)
        pauses.append(backoff.down(now=100 * minute).retry_after_s)

    for failures, pause in enumerate(pauses):
        longest = min(0.5 * 2**failures, 60)
        assert longest / 2 <= pause <= longest


def test_dials_that_fail_together_are_one_failure():
    backoff = Backoff()

    for _ in range(8):
        backoff.failed("refused", now=100)

    assert backoff.down(now=100).retry_after_s <= 0.5


def test_a_dial_is_allowed_after_the_pause():
    backoff = Backoff()
    backoff.failed("refused", now=100)

    assert backoff.down(now=100).reason == "refused"
    assert backoff.down(now=100.51) is None


def test_the_end_of_a_stable_connection_causes_no_pause():
    backoff = Backoff()

    backoff.connection_ended(_ended(answers=1000), lived_s=3600, now=0)

    assert backoff.down(now=0) is None


def test_answers_do_not_excuse_a_flood():
    backoff = Backoff()

    backoff.connection_ended(_ended(1000, flooded=True), lived_s=3600, now=0)

    assert backoff.down(now=0).retry_after_s > 0


def test_only_the_second_short_connection_causes_a_pause():
    backoff = Backoff()

    backoff.connection_ended(_ended(answers=1), lived_s=0.1, now=0)
    assert backoff.down(now=0) is None
    backoff.connection_ended(_ended(answers=1), lived_s=0.1, now=0)

    # The first short connection counts: this is the second in a row.
    assert 0.5 <= backoff.down(now=0).retry_after_s <= 1


@pytest.mark.parametrize("graceful", [False, True])
def test_a_connection_that_answered_nothing_is_a_failure(graceful):
    backoff = Backoff()

    backoff.connection_ended(_ended(graceful=graceful), lived_s=0.1, now=0)

    assert backoff.down(now=0).reason == "it broke"


def test_an_unused_connection_that_the_peer_closed_is_no_failure():
    backoff = Backoff()

    backoff.connection_ended(_ended(graceful=True, opened=0), lived_s=60, now=0)

    assert backoff.down(now=0) is None


def test_a_stable_connection_resets_earlier_failures():
    backoff = Backoff()
    for minute in range(5):
        backoff.failed("refused", now=100 * minute)

    backoff.connection_ended(_ended(answers=1000), lived_s=3600, now=4000)
    backoff.failed("refused", now=4000)

    assert backoff.down(now=4000).retry_after_s <= 0.5


def test_after_a_burst_dials_are_limited_to_one_a_second():
    rate = DialRate(3)

    pauses = [rate.take(now=100) for _ in range(5)]

    assert pauses == [0, 0, 0, 1, 2]


def test_a_quiet_time_refills_one_burst_only():
    rate = DialRate(3)
    for _ in range(3):
        rate.take(now=100)

    pauses = [rate.take(now=200) for _ in range(4)]

    assert pauses == [0, 0, 0, 1]
