"""Probes and single devices about which a provider says nothing."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from notifier.http2 import Head, Request
from notifier.outcome import ChannelDown
from tests.support.pushes import OK, Reports, Told
from tests.support.routes import World, always, wave_of


class Silence:
    """A device about which the provider says nothing until the test has it speak."""

    def __init__(self, world: World, *bodies: bytes) -> None:
        self._ends = {body: asyncio.Event() for body in bodies}
        self.end: Told = ChannelDown("no answer within 30 s")
        world.client.answer = self._answer

    def _answer(self, head: Head, request: Request) -> Any:
        return self._wait(request.body) if request.body in self._ends else OK

    async def _wait(self, body: bytes) -> Told:
        await self._ends[body].wait()
        return self.end

    def break_it(self) -> None:
        for event in self._ends.values():
            event.set()


def opened(world: World) -> None:
    """The breaker is open, and its pause is over."""
    world.client.answer = always(ChannelDown("unreachable"))
    with pytest.raises(ChannelDown):
        world.push(1)
    world.now += 60
    world.client.sent.clear()


async def seen(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def test_a_probe_that_hangs_is_followed_by_another() -> None:
    world = World()
    opened(world)
    reports = Reports()

    async def push() -> None:
        silence = Silence(world, b"0")
        pushing = asyncio.create_task(world.route.push(wave_of(4, reports)))
        await seen(lambda: len(reports.by_device) == 3)
        assert not world.route.breaker.is_open
        silence.break_it()
        await pushing

    asyncio.run(push())

    assert reports.kinds() == ["later", "accepted", "accepted", "accepted"]
    assert not world.route.breaker.is_open


def test_a_wave_of_one_that_hangs_lets_others_probe() -> None:
    world = World()
    opened(world)
    hung, well = Reports(), Reports()

    async def push() -> None:
        silence = Silence(world, b"0")
        one = asyncio.create_task(world.route.push(wave_of(1, hung)))
        await seen(lambda: world.sent() == [b"0"])
        await world.route.push(wave_of(3, well, 1))
        silence.break_it()
        await one

    asyncio.run(push())

    assert hung.kinds() == ["later"]
    assert well.kinds() == ["accepted"] * 3
    assert not world.route.breaker.is_open


def test_probes_that_are_all_silent_are_an_outage() -> None:
    world = World()
    opened(world)
    reports = Reports()

    async def push() -> None:
        silence = Silence(world, b"0", b"1", b"2")
        pushing = asyncio.create_task(world.route.push(wave_of(9, reports)))
        await seen(lambda: len(world.sent()) == 3)
        await asyncio.wait([pushing], timeout=0.1)
        assert len(world.sent()) == 3
        silence.break_it()
        with pytest.raises(ChannelDown, match="no answer"):
            await pushing

    asyncio.run(push())

    assert reports.by_device == {}
    assert world.route.breaker.is_open


def test_one_silent_device_alone_is_no_outage_while_others_are_answered() -> None:
    world = World()
    silent, others = Reports(), Reports()

    async def push() -> None:
        silence = Silence(world, b"0")
        one = asyncio.create_task(world.route.push(wave_of(1, silent)))
        await seen(lambda: world.client.sent)
        world.client.answer = always(OK)
        await world.route.push(wave_of(2, others, 1))
        silence.break_it()
        await one

    asyncio.run(push())

    assert silent.kinds() == ["later"]
    assert not world.route.breaker.is_open


def test_a_cancelled_push_leaves_no_probe_behind() -> None:
    world = World()
    opened(world)

    async def push() -> int:
        Silence(world, b"0")
        pushing = asyncio.create_task(world.route.push(wave_of(1, Reports())))
        await seen(lambda: world.client.sent)
        pushing.cancel()
        await asyncio.wait([pushing])
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(push()) == 1
