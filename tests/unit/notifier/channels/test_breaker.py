"""When the circuit breaker opens, for how long, and when it closes."""

from collections.abc import Callable

import pytest

from notifier.channels import CredentialsRefused
from notifier.channels.breaker import EARLY_PROBES, Breaker
from notifier.outcome import ChannelDown
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock)


def left_s(breaker: Breaker) -> float | None:
    """The rest of the pause in seconds; None when it is over."""
    try:
        breaker.check()
    except (ChannelDown, CredentialsRefused) as problem:
        return problem.retry_after_s
    return None


def fail_probe(breaker: Breaker) -> None:
    breaker.begin_probe()
    breaker.open_for_outage("still away")
    breaker.end_probe()


def test_it_begins_closed(breaker: Breaker) -> None:
    assert not breaker.is_open
    assert left_s(breaker) is None


def test_an_outage_opens_it_for_a_second(breaker: Breaker, clock: Clock) -> None:
    breaker.open_for_outage("unreachable")

    with pytest.raises(ChannelDown, match="unreachable"):
        breaker.check()
    assert left_s(breaker) == 1
    clock.now += 1
    assert left_s(breaker) is None
    assert breaker.is_open


def test_a_lasting_outage_makes_the_pauses_longer(
    breaker: Breaker, clock: Clock
) -> None:
    breaker.open_for_outage("unreachable")
    pauses = []

    for _ in range(8):
        pauses.append(left_s(breaker))
        clock.now += 100
        fail_probe(breaker)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_providers_retry_after_is_the_least_pause(breaker: Breaker) -> None:
    breaker.open_for_outage("maintenance", 20)

    assert left_s(breaker) == 20


def test_an_outage_opens_it_for_a_minute_at_most(
    breaker: Breaker,
) -> None:
    breaker.open_for_outage("maintenance", 3600)

    assert left_s(breaker) == 60


def test_a_rate_limit_may_last_an_hour(breaker: Breaker, clock: Clock) -> None:
    breaker.open_for_rate_limit("QUOTA_EXCEEDED", 600)
    asked = left_s(breaker)
    clock.now += 600
    breaker.begin_probe()
    breaker.open_for_rate_limit("QUOTA_EXCEEDED", 86_400)
    breaker.end_probe()

    assert (asked, left_s(breaker)) == (600, 3600)
    assert breaker.refusal is None


def test_a_rate_limit_without_a_time_makes_the_pauses_longer(
    breaker: Breaker, clock: Clock
) -> None:
    pauses = []

    for _ in range(3):
        breaker.open_for_rate_limit("QUOTA_EXCEEDED")
        pauses.append(left_s(breaker))
        clock.now += 100
        breaker.begin_probe()

    assert pauses == [1, 2, 4]


def test_a_good_probe_closes_it_and_resets_the_pause(
    breaker: Breaker, clock: Clock
) -> None:
    breaker.open_for_outage("unreachable")
    clock.now += 1
    fail_probe(breaker)

    breaker.begin_probe()
    breaker.end_probe()

    assert not breaker.is_open
    breaker.open_for_outage("again")
    assert left_s(breaker) == 1


def test_refused_credentials_open_it_for_a_minute(breaker: Breaker) -> None:
    breaker.open_for_refusal("InvalidProviderToken")

    with pytest.raises(CredentialsRefused, match="InvalidProviderToken"):
        breaker.check()
    assert left_s(breaker) == 60
    assert breaker.refusal == "InvalidProviderToken"


def test_an_outage_is_no_refusal(breaker: Breaker) -> None:
    breaker.open_for_outage("unreachable")

    assert breaker.refusal is None


def test_results_of_earlier_pushes_change_nothing_while_it_is_open(
    breaker: Breaker, clock: Clock
) -> None:
    breaker.open_for_refusal("InvalidProviderToken")
    clock.now += 10

    breaker.open_for_outage("unreachable")
    breaker.open_for_refusal("Forbidden")

    assert breaker.refusal == "InvalidProviderToken"
    assert left_s(breaker) == 50


def test_an_accepted_push_closes_it_if_devices_were_refused(breaker: Breaker) -> None:
    breaker.open_for_refusal("InvalidProviderToken", is_judged=True)

    breaker.accept()

    assert not breaker.is_open


@pytest.mark.parametrize(
    "opens",
    [
        lambda breaker: breaker.open_for_rate_limit("QUOTA_EXCEEDED", 60),
        lambda breaker: breaker.open_for_outage("unreachable", 60),
        lambda breaker: breaker.open_for_refusal("invalid_grant"),
    ],
    ids=["rate limit", "outage", "no token"],
)
def test_an_accepted_push_does_not_end_other_pauses(
    breaker: Breaker, clock: Clock, opens: Callable[[Breaker], None]
) -> None:
    opens(breaker)

    breaker.accept()
    assert breaker.is_open
    clock.now += 60
    breaker.accept()

    assert not breaker.is_open


def test_a_few_devices_may_be_tried_before_the_end_of_such_a_pause(
    breaker: Breaker, clock: Clock
) -> None:
    breaker.open_for_refusal("InvalidProviderToken", is_judged=True)
    tried = 0

    while breaker.may_probe_early:
        breaker.begin_early_probe()
        tried += 1

    assert tried == EARLY_PROBES
    assert left_s(breaker) == 60


def test_nothing_is_tried_early_without_a_token(breaker: Breaker) -> None:
    breaker.open_for_refusal("invalid_grant")

    assert not breaker.may_probe_early


def test_a_cancelled_probe_is_followed_by_another(
    breaker: Breaker, clock: Clock
) -> None:
    breaker.open_for_outage("unreachable")
    clock.now += 1
    breaker.begin_probe()

    assert left_s(breaker) is None
    breaker.begin_probe()
    breaker.end_probe()
    assert not breaker.is_open
