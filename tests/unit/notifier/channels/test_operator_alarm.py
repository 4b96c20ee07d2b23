"""What the operator is told about outages: once, and until they are over."""

import asyncio
import logging

import pytest

from notifier.channels.operator_alarm import REPEAT_S, Alarm
from notifier.http2 import Response
from notifier.outcome import ChannelDown
from tests.support.clock import Clock
from tests.support.fake_provider import OK, RecordedTroubles, always
from tests.support.route_harness import UNREACHABLE, RouteHarness

NAME = "apns provider.test"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def troubles() -> RecordedTroubles:
    return RecordedTroubles()


@pytest.fixture
def alarm(troubles: RecordedTroubles, clock: Clock) -> Alarm:
    return Alarm(NAME, troubles, lambda reason: f"<{reason}>", clock=clock)


def update(alarm: Alarm, trouble: str | None, *, is_outage: bool = True) -> None:
    asyncio.run(alarm.update(trouble, is_outage=is_outage))


def test_an_outage_and_its_end_are_told_once(
    alarm: Alarm, troubles: RecordedTroubles, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for trouble in (None, None, "no route", "no route", None, None):
            update(alarm, trouble)

    told = [reason for name, reason in troubles.reports if name == NAME]
    assert told == [None, "no route", None]
    assert caplog.messages == [
        f"{NAME} is out of reach: no route",
        f"{NAME} is in reach again",
    ]


@pytest.mark.parametrize("trouble", [None, "no route"])
def test_the_state_is_published_again_after_a_while(
    alarm: Alarm, troubles: RecordedTroubles, clock: Clock, trouble: str | None
) -> None:
    update(alarm, trouble)
    first = len(troubles.reports)

    clock.now += REPEAT_S
    update(alarm, trouble)
    update(alarm, trouble)

    assert troubles.reports[first:] == [(NAME, trouble)]


def test_a_provider_out_of_reach_is_trouble_until_a_push_is_accepted() -> None:
    harness = RouteHarness(always(UNREACHABLE))

    with pytest.raises(ChannelDown):
        harness.push(1)
    during = harness.troubles.standing()
    harness.client.answer = always(OK)
    harness.clock.now += 60
    harness.push(1)

    assert during == {"apns harbour": "unreachable"}
    assert harness.troubles.standing() == {}


def test_any_answer_ends_an_outage() -> None:
    harness = RouteHarness(always(UNREACHABLE))
    with pytest.raises(ChannelDown):
        harness.push(1)

    harness.client.answer = always(Response(400, (), b"BadDeviceToken"))
    harness.clock.now += 60
    harness.push(1)

    assert harness.troubles.standing() == {}


def test_an_attempt_without_an_alarm_tells_no_outage() -> None:
    harness = RouteHarness(always(UNREACHABLE))

    with pytest.raises(ChannelDown):
        harness.push(1, with_alarm=False)

    assert harness.troubles.reports == []
