"""A provider that tells a whole route to wait."""

import pytest

from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown, Kind
from tests.support.pushes import OK, Told
from tests.support.routes import World, always, by_body

ALL_MUST_WAIT = Response(429, (("retry-after", "600"),), b"AllMustWait")
ONE_MUST_WAIT = Response(429, (("retry-after", "600"),), b"OneMustWait")


def test_those_that_were_sent_wait_as_long_as_it_says() -> None:
    world = World(always(ALL_MUST_WAIT))

    reports = world.push(2)

    assert reports.kinds() == ["later", "later"]
    assert reports.by_device[0].retry_after_s == 600
    assert reports.by_device[0].tried


def test_nothing_more_is_sent_until_then() -> None:
    world = World(always(ALL_MUST_WAIT))
    world.push(1)
    world.now += 599

    with pytest.raises(ChannelDown, match="AllMustWait") as refused:
        world.push(2)

    assert refused.value.retry_after_s == 1
    assert len(world.client.sent) == 1


def test_others_that_came_through_before_do_not_keep_it_open() -> None:
    world = World(by_body({b"1": ALL_MUST_WAIT}))

    reports = world.push(3)

    assert reports.kinds() == ["accepted", "later", "accepted"]
    assert world.route.breaker.is_open


def test_afterwards_one_device_asks_whether_it_is_over() -> None:
    world = World(always(ALL_MUST_WAIT))
    world.push(1)
    world.now += 600
    world.client.sent.clear()

    with pytest.raises(ChannelDown, match="AllMustWait"):
        world.push(3)

    assert world.sent() == [b"0"]
    world.now += 600
    world.client.answer = always(OK)
    assert world.push(3).kinds() == ["accepted"] * 3


def test_it_is_no_trouble_with_our_credentials() -> None:
    world = World(always(ALL_MUST_WAIT))

    world.push(1)

    assert world.told() == []


def test_a_device_that_has_to_wait_holds_up_nobody_else() -> None:
    world = World(always(ONE_MUST_WAIT))
    world.push(100)

    world.client.answer = always(OK)

    assert world.push(2).kinds() == ["accepted", "accepted"]


def test_what_was_refused_for_its_token_meets_the_same() -> None:
    def answer(head: Head, request: Request) -> Told:
        is_first = head.headers[0][1] == "t1"
        return Response(403, (), b"Stale") if is_first else ALL_MUST_WAIT

    world = World(answer)

    reports = world.push(2)

    assert {outcome.kind for outcome in reports.by_device.values()} == {Kind.LATER}
    assert world.route.breaker.is_open
    assert world.tokens.number == 2
