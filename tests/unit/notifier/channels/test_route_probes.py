"""Probes and single devices that get no response."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from notifier.http2 import Head, Request
from notifier.outcome import ChannelDown
from tests.support.fake_provider import OK, Result, always
from tests.support.notifications import Reports
from tests.support.route_harness import UNREACHABLE, RouteHarness, batch_of


class HangingDevices:
    """Devices whose pushes get no response until the test ends the wait."""

    def __init__(self, harness: RouteHarness, *bodies: bytes) -> None:
        self._ends = {body: asyncio.Event() for body in bodies}
        self.end: Result = ChannelDown("no answer within 30 s")
        harness.client.answer = self._answer

    def _answer(self, head: Head, request: Request) -> Any:
        return self._wait(request.body) if request.body in self._ends else OK

    async def _wait(self, body: bytes) -> Result:
        await self._ends[body].wait()
        return self.end

    def time_out(self) -> None:
        for event in self._ends.values():
            event.set()


def open_breaker(harness: RouteHarness) -> None:
    """Open the breaker and let its pause pass."""
    harness.client.answer = always(UNREACHABLE)
    with pytest.raises(ChannelDown):
        harness.push(1)
    harness.clock.now += 60
    harness.client.sent.clear()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def test_a_probe_that_hangs_is_followed_by_another() -> None:
    harness = RouteHarness()
    open_breaker(harness)
    reports = Reports()

    async def push() -> None:
        hanging = HangingDevices(harness, b"0")
        pushing = asyncio.create_task(harness.route.push(batch_of(4, reports)))
        await until(lambda: len(reports.by_device) == 3)
        assert not harness.route.breaker.is_open
        hanging.time_out()
        await pushing

    asyncio.run(push())

    assert reports.kinds() == ["later", "accepted", "accepted", "accepted"]
    assert not harness.route.breaker.is_open


def test_a_batch_of_one_that_hangs_lets_others_probe() -> None:
    harness = RouteHarness()
    open_breaker(harness)
    hung, well = Reports(), Reports()

    async def push() -> None:
        hanging = HangingDevices(harness, b"0")
        one = asyncio.create_task(harness.route.push(batch_of(1, hung)))
        await until(lambda: harness.sent() == [b"0"])
        await harness.route.push(batch_of(3, well, 1))
        hanging.time_out()
        await one

    asyncio.run(push())

    assert hung.kinds() == ["later"]
    assert well.kinds() == ["accepted"] * 3
    assert not harness.route.breaker.is_open


def test_probes_that_all_get_no_response_are_an_outage() -> None:
    harness = RouteHarness()
    open_breaker(harness)
    reports = Reports()

    async def push() -> None:
        hanging = HangingDevices(harness, b"0", b"1", b"2")
        pushing = asyncio.create_task(harness.route.push(batch_of(9, reports)))
        await until(lambda: len(harness.sent()) == 3)
        await asyncio.wait([pushing], timeout=0.1)
        assert len(harness.sent()) == 3
        hanging.time_out()
        with pytest.raises(ChannelDown, match="no answer"):
            await pushing

    asyncio.run(push())

    assert reports.by_device == {}
    assert harness.route.breaker.is_open


def test_one_device_without_a_response_is_no_outage_while_others_have_one() -> None:
    harness = RouteHarness()
    silent, others = Reports(), Reports()

    async def push() -> None:
        hanging = HangingDevices(harness, b"0")
        one = asyncio.create_task(harness.route.push(batch_of(1, silent)))
        await until(lambda: harness.client.sent)
        harness.client.answer = always(OK)
        await harness.route.push(batch_of(2, others, 1))
        hanging.time_out()
        await one

    asyncio.run(push())

    assert silent.kinds() == ["later"]
    assert not harness.route.breaker.is_open


def test_a_cancelled_push_leaves_no_probe_behind() -> None:
    harness = RouteHarness()
    open_breaker(harness)

    async def push() -> int:
        HangingDevices(harness, b"0")
        pushing = asyncio.create_task(harness.route.push(batch_of(1, Reports())))
        await until(lambda: harness.client.sent)
        pushing.cancel()
        await asyncio.wait([pushing])
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(push()) == 1
