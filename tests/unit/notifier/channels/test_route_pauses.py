"""A rate limit on a whole route."""

import pytest

from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown, Kind
from tests.support.fake_provider import OK, Result, always
from tests.support.route_harness import RouteHarness, by_body

ALL_MUST_WAIT = Response(429, (("retry-after", "600"),), b"AllMustWait")
ONE_MUST_WAIT = Response(429, (("retry-after", "600"),), b"OneMustWait")


def test_pushes_that_were_sent_wait_for_the_retry_after() -> None:
    harness = RouteHarness(always(ALL_MUST_WAIT))

    reports = harness.push(2)

    assert reports.kinds() == ["later", "later"]
    assert reports.by_device[0].retry_after_s == 600
    assert reports.by_device[0].tried


def test_no_more_pushes_are_sent_until_then() -> None:
    harness = RouteHarness(always(ALL_MUST_WAIT))
    harness.push(1)
    harness.clock.now += 599

    with pytest.raises(ChannelDown, match="AllMustWait") as refused:
        harness.push(2)

    assert refused.value.retry_after_s == 1
    assert len(harness.client.sent) == 1


def test_accepted_pushes_of_the_batch_do_not_keep_the_breaker_closed() -> None:
    harness = RouteHarness(by_body({b"1": ALL_MUST_WAIT}))

    reports = harness.push(3)

    assert reports.kinds() == ["accepted", "later", "accepted"]
    assert harness.route.breaker.is_open


def test_after_the_pause_one_push_is_the_probe() -> None:
    harness = RouteHarness(always(ALL_MUST_WAIT))
    harness.push(1)
    harness.clock.now += 600
    harness.client.sent.clear()

    with pytest.raises(ChannelDown, match="AllMustWait"):
        harness.push(3)

    assert harness.sent() == [b"0"]
    harness.clock.now += 600
    harness.client.answer = always(OK)
    assert harness.push(3).kinds() == ["accepted"] * 3


def test_a_rate_limit_is_no_credentials_problem() -> None:
    harness = RouteHarness(always(ALL_MUST_WAIT))

    harness.push(1)

    assert harness.reported() == []


def test_a_device_that_has_to_wait_does_not_delay_the_others() -> None:
    harness = RouteHarness(always(ONE_MUST_WAIT))
    harness.push(100)

    harness.client.answer = always(OK)

    assert harness.push(2).kinds() == ["accepted", "accepted"]


def test_the_repeat_with_a_new_token_can_meet_the_rate_limit() -> None:
    def answer(head: Head, request: Request) -> Result:
        is_first = head.headers[0][1] == "t1"
        return Response(403, (), b"TokenExpired") if is_first else ALL_MUST_WAIT

    harness = RouteHarness(answer)

    reports = harness.push(2)

    assert {outcome.kind for outcome in reports.by_device.values()} == {Kind.LATER}
    assert harness.route.breaker.is_open
    assert harness.tokens.number == 2
