"""Waves over a route: outcomes, stale tokens, the breaker, and what is published."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from notifier.channels import CredentialsRefused
from notifier.channels.authorization import ByCertificate
from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown, Kind, Outcome
from tests.support.pushes import (
    OK,
    Reports,
)
from tests.support.routes import REFUSED, STALE, World, always, by_body, wave_of


def test_every_device_gets_its_own_outcome() -> None:
    world = World(by_body({b"1": Response(400, (), b"BadPayload")}))

    reports = world.push(3)

    assert reports.kinds() == ["accepted", "refused", "accepted"]
    assert reports.by_device[1].reason == "BadPayload"


def test_the_token_is_in_the_head() -> None:
    world = World()

    world.push(1)

    assert world.client.sent[0][0] == Head((("t", "t1"),))


def test_a_certificate_needs_no_token() -> None:
    async def ask() -> str | None:
        await ByCertificate().refused(None)
        return await ByCertificate().token()

    assert asyncio.run(ask()) is None


def test_a_stale_token_is_replaced_once_and_only_what_it_hit_is_sent_again() -> None:
    def answer(head: Head, request: Request) -> Response:
        hit = request.body in (b"0", b"2") and head.headers[0][1] == "t1"
        return STALE if hit else OK

    world = World(answer)

    reports = world.push(3)

    assert reports.kinds() == ["accepted"] * 3
    assert world.sent() == [b"0", b"1", b"2", b"0", b"2"]
    assert world.tokens.number == 2


def test_a_token_that_stays_stale_is_a_matter_of_credentials_and_no_loop() -> None:
    world = World(always(STALE))

    reports = world.push(2)

    assert reports.kinds() == ["credentials", "credentials"]
    assert world.tokens.number == 2
    assert len(world.client.sent) == 4


def test_refused_credentials_open_the_breaker() -> None:
    world = World(always(REFUSED))
    world.push(2)

    later = world.push(2)

    assert later.kinds() == ["credentials", "credentials"]
    assert later.by_device[0].retry_after_s == 60
    assert len(world.client.sent) == 2


def test_credentials_that_others_came_through_with_are_not_to_blame() -> None:
    world = World(by_body({b"0": REFUSED}))
    world.push(2)

    assert world.push(2).kinds() == ["credentials", "accepted"]
    assert world.told() == [None]


def test_words_about_single_devices_do_not_open_the_breaker() -> None:
    world = World(always(Response(403, (), b"NotOurs")))
    world.push(2)
    world.client.answer = always(OK)

    assert world.push(2).kinds() == ["accepted", "accepted"]
    assert world.told() == [None]


def test_after_the_pause_one_device_goes_ahead() -> None:
    world = World(always(REFUSED))
    world.push(1)
    world.now += 60
    world.client.sent.clear()

    reports = world.push(3)

    assert world.sent() == [b"0"]
    assert reports.kinds() == ["credentials"] * 3


def test_when_the_probe_is_well_the_rest_follows() -> None:
    world = World(always(REFUSED))
    world.push(1)
    world.now += 60
    world.client.answer = always(OK)

    reports = world.push(3)

    assert reports.kinds() == ["accepted"] * 3
    assert not world.route.breaker.is_open


def test_only_one_of_many_waves_sends_a_probe() -> None:
    world = World(always(REFUSED))
    world.push(1)
    world.now += 60
    world.client.sent.clear()

    async def push_many() -> list[Reports]:
        reports = [Reports() for _ in range(5)]
        await asyncio.gather(*(world.route.push(wave_of(2, r)) for r in reports))
        return reports

    reports = asyncio.run(push_many())

    assert world.sent() == [b"0"]
    assert [r.kinds() for r in reports] == [["credentials"] * 2] * 5


def test_an_outage_is_raised_and_opens_the_breaker() -> None:
    world = World(always(ChannelDown("unreachable")))

    for _ in range(3):
        with pytest.raises(ChannelDown, match="unreachable"):
            world.push(2)

    assert len(world.client.sent) == 1


def test_one_device_without_an_answer_is_no_outage() -> None:
    world = World(by_body({b"1": ChannelDown("deadline", retry_after_s=5)}))

    reports = world.push(2)

    assert reports.kinds() == ["accepted", "later"]
    assert reports.by_device[1] == Outcome(Kind.LATER, "deadline", 5)
    assert not world.route.breaker.is_open


def test_server_errors_in_a_row_open_the_breaker_and_successes_keep_it_shut() -> None:
    error = Response(500, (), b"InternalServerError")
    world = World(by_body({b"%d" % n: error for n in range(0, 200, 2)}))
    world.push(200)
    assert not world.route.breaker.is_open

    world.client.answer = always(error)
    world.push(30)

    assert world.route.breaker.is_open


def test_no_token_to_be_had_keeps_the_devices() -> None:
    world = World()
    world.tokens.get = refuse_token  # type: ignore[method-assign]

    reports = world.push(2)

    assert reports.kinds() == ["credentials", "credentials"]
    assert reports.by_device[0].reason == "invalid_grant"
    assert world.route.breaker.refusal == "invalid_grant"


async def refuse_token(name: str, mint: Callable[[], object]) -> str:
    raise CredentialsRefused("invalid_grant")


def test_trouble_is_told_once_and_its_end_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(always(REFUSED))

    with caplog.at_level(logging.INFO):
        for _ in range(3):
            world.push(2)
            world.now += 60
        world.client.answer = always(OK)
        world.push(1)
        world.push(1)

    assert world.told() == ["BadKey", None]
    assert [record.getMessage() for record in caplog.records] == [
        "apns harbour refuses our credentials: <BadKey>",
        "apns harbour takes our credentials again",
    ]


def test_the_first_success_clears_what_an_earlier_process_has_published() -> None:
    world = World()

    world.push(1)
    world.push(1)

    assert world.told() == [None]


def test_credentials_that_work_end_the_trouble_of_unreadable_ones() -> None:
    world = World()

    world.push(1)

    assert ("apns", None) in world.troubles.notifications


def test_a_first_wave_without_success_clears_nothing() -> None:
    world = World(always(Response(400, (), b"BadPayload")))

    world.push(1)

    assert world.told() == []


def test_trouble_met_quietly_is_told_only_when_it_matters() -> None:
    world = World(always(REFUSED))

    world.push(1, quietly=True)
    before = world.told()
    world.push(1)

    assert before == []
    assert world.told() == ["BadKey"]
