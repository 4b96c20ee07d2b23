"""Batches over a route: outcomes, expired tokens, the breaker and the alarm."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from notifier.channels import CredentialsRefused
from notifier.channels.authorization import CertificateAuthorization
from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown, Kind, Outcome
from tests.support.fake_provider import OK, always
from tests.support.notifications import Reports
from tests.support.route_harness import (
    REFUSED,
    TOKEN_EXPIRED,
    UNREACHABLE,
    RouteHarness,
    batch_of,
    by_body,
)


def test_every_device_gets_its_own_outcome() -> None:
    harness = RouteHarness(by_body({b"1": Response(400, (), b"BadPayload")}))

    reports = harness.push(3)

    assert reports.kinds() == ["accepted", "refused", "accepted"]
    assert reports.by_device[1].reason == "BadPayload"


def test_the_token_is_in_the_head() -> None:
    harness = RouteHarness()

    harness.push(1)

    assert harness.client.sent[0][0] == Head((("t", "t1"),))


def test_a_certificate_needs_no_token() -> None:
    async def ask() -> str | None:
        await CertificateAuthorization().token_expired(None)
        return await CertificateAuthorization().token()

    assert asyncio.run(ask()) is None


def test_an_expired_token_is_replaced_once_and_only_its_pushes_are_repeated() -> None:
    def answer(head: Head, request: Request) -> Response:
        hit = request.body in (b"0", b"2") and head.headers[0][1] == "t1"
        return TOKEN_EXPIRED if hit else OK

    harness = RouteHarness(answer)

    reports = harness.push(3)

    assert reports.kinds() == ["accepted"] * 3
    assert harness.sent() == [b"0", b"1", b"2", b"0", b"2"]
    assert harness.tokens.number == 2


def test_outcomes_after_an_expired_token_are_those_of_their_devices() -> None:
    def answer(head: Head, request: Request) -> Response:
        if head.headers[0][1] == "t1":
            return TOKEN_EXPIRED
        return Response(400, (), request.body)

    harness = RouteHarness(answer)
    harness.client.is_backwards = True

    reports = harness.push(3)

    reasons = {n: outcome.reason for n, outcome in reports.by_device.items()}
    assert reasons == {0: "0", 1: "1", 2: "2"}


def test_a_token_that_stays_expired_is_a_credentials_problem_and_no_loop() -> None:
    harness = RouteHarness(always(TOKEN_EXPIRED))

    reports = harness.push(2)

    assert reports.kinds() == ["credentials", "credentials"]
    assert harness.tokens.number == 2
    assert len(harness.client.sent) == 4


def test_refused_credentials_open_the_breaker() -> None:
    harness = RouteHarness(always(REFUSED))
    harness.push(3)

    later = harness.push(3)

    assert later.kinds() == ["credentials"] * 3
    assert later.by_device[0].retry_after_s == 60
    assert len(harness.client.sent) == 3


def test_credentials_that_other_pushes_were_accepted_with_are_not_at_fault() -> None:
    harness = RouteHarness(by_body({b"0": REFUSED}))
    harness.push(2)

    assert harness.push(2).kinds() == ["suspect", "accepted"]
    assert harness.reported() == [None]


def test_reasons_about_single_devices_do_not_open_the_breaker() -> None:
    harness = RouteHarness(always(Response(403, (), b"NotOurs")))
    harness.push(2)
    harness.client.answer = always(OK)

    assert harness.push(2).kinds() == ["accepted", "accepted"]
    assert harness.reported() == [None]


def test_after_the_pause_one_push_is_the_probe() -> None:
    harness = RouteHarness(always(REFUSED))
    harness.push(3)
    harness.clock.now += 60
    harness.client.sent.clear()

    reports = harness.push(3)

    assert len(harness.sent()) == 1
    assert reports.kinds() == ["credentials"] * 3


def test_after_a_successful_probe_the_rest_follows() -> None:
    harness = RouteHarness(always(REFUSED))
    harness.push(3)
    harness.clock.now += 60
    harness.client.answer = always(OK)

    reports = harness.push(3)

    assert reports.kinds() == ["accepted"] * 3
    assert not harness.route.breaker.is_open


def test_only_one_of_many_batches_sends_a_probe() -> None:
    harness = RouteHarness(always(REFUSED))
    harness.push(3)
    harness.clock.now += 60
    harness.client.sent.clear()

    async def push_many() -> list[Reports]:
        reports = [Reports() for _ in range(5)]
        await asyncio.gather(*(harness.route.push(batch_of(2, r)) for r in reports))
        return reports

    reports = asyncio.run(push_many())

    assert len(harness.sent()) == 1
    assert [r.kinds() for r in reports] == [["credentials"] * 2] * 5


def test_an_outage_is_raised_and_opens_the_breaker() -> None:
    harness = RouteHarness(always(UNREACHABLE))

    for _ in range(3):
        with pytest.raises(ChannelDown, match="unreachable"):
            harness.push(2)

    assert len(harness.client.sent) == 1


def test_one_device_without_an_answer_is_no_outage() -> None:
    harness = RouteHarness(by_body({b"1": ChannelDown("deadline", retry_after_s=5)}))

    reports = harness.push(2)

    assert reports.kinds() == ["accepted", "later"]
    assert reports.by_device[1] == Outcome(Kind.LATER, "deadline", 5)
    assert not harness.route.breaker.is_open


def test_server_errors_of_many_open_the_breaker_and_successes_keep_it_shut() -> None:
    error = Response(500, (), b"InternalServerError")
    harness = RouteHarness(by_body({b"%d" % n: error for n in range(0, 200, 2)}))
    harness.push(200)
    assert not harness.route.breaker.is_open

    harness.client.answer = always(error)
    harness.push(30)

    assert harness.route.breaker.is_open


def test_a_refused_token_request_keeps_the_devices() -> None:
    harness = RouteHarness()
    harness.tokens.get = refuse_token  # type: ignore[method-assign]

    reports = harness.push(2)

    assert reports.kinds() == ["credentials", "credentials"]
    assert reports.by_device[0].reason == "invalid_grant"
    assert harness.route.breaker.refusal == "invalid_grant"


async def refuse_token(name: str, mint: Callable[[], object]) -> str:
    raise CredentialsRefused("invalid_grant")


def test_a_refusal_is_reported_once_and_its_end_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    harness = RouteHarness(always(REFUSED))

    with caplog.at_level(logging.INFO):
        for _ in range(3):
            harness.push(2)
            harness.clock.now += 60
        harness.client.answer = always(OK)
        harness.push(1)
        harness.push(1)

    assert harness.reported() == ["BadKey", None]
    assert [record.getMessage() for record in caplog.records] == [
        "apns harbour refuses our credentials: <BadKey>",
        "apns harbour takes our credentials again",
    ]


def test_the_first_success_clears_the_report_of_an_earlier_process() -> None:
    harness = RouteHarness()

    harness.push(1)
    harness.push(1)

    assert harness.reported() == [None]


def test_working_credentials_clear_the_report_about_unreadable_ones() -> None:
    harness = RouteHarness()

    harness.push(1)

    assert ("apns", None) in harness.troubles.reports


def test_a_first_batch_without_success_clears_nothing() -> None:
    harness = RouteHarness(always(Response(400, (), b"BadPayload")))

    harness.push(1)

    assert harness.reported() == []


def test_a_refusal_without_alarm_is_reported_by_the_next_batch_with_one() -> None:
    harness = RouteHarness(always(REFUSED))

    harness.push(1, with_alarm=False)
    before = harness.reported()
    harness.push(1)

    assert before == []
    assert harness.reported() == ["BadKey"]
