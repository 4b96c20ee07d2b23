"""The APNs channel on a fake provider."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from models.pushes import Notification, Target
from notifier.channels.apns import MAX_ROUTES, Apns
from notifier.channels.authorization import CertificateAuthorization, TokenAuthorization
from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown
from tests.support.fake_provider import (
    ACCEPT,
    OK,
    Answer,
    FakeClient,
    FakeTokens,
    RecordedTroubles,
    always,
)
from tests.support.notifications import Reports, make_notification, make_target


def refusal(status: int, reason: str) -> Response:
    return Response(status, (), json.dumps({"reason": reason}).encode())


BAD_TOKEN = refusal(400, "BadDeviceToken")


class Apple:
    """A channel with a fake client for each of the two environments."""

    def __init__(
        self,
        production: Answer = ACCEPT,
        sandbox: Answer = ACCEPT,
        *,
        by_certificate: bool = False,
    ) -> None:
        self.production = FakeClient(production)
        self.sandbox = FakeClient(sandbox)
        self.tokens = FakeTokens()
        self.troubles = RecordedTroubles()
        by_token: Any = TokenAuthorization(self.tokens, "apns", asyncio.sleep)  # type: ignore[arg-type]
        self.channel = Apns(
            {"production": self.production, "sandbox": self.sandbox},  # type: ignore[dict-item]
            CertificateAuthorization() if by_certificate else by_token,
            topic="org.example.harbour",
            troubles=self.troubles,
        )

    def push(
        self, targets: Sequence[Target], notification: Notification | None = None
    ) -> Reports:
        reports = Reports()
        rendered = self.channel.render(notification or make_notification())
        asyncio.run(self.channel.send(rendered, targets, reports))
        return reports


def test_the_head_holds_what_all_pushes_share() -> None:
    apple = Apple()

    apple.push([make_target(1, "aa"), make_target(2, "bb")])

    (first, request), (second, _) = apple.production.sent
    assert first is second
    assert dict(first.headers) == {
        "authorization": "bearer t1",
        "apns-topic": "org.example.harbour",
        "apns-push-type": "alert",
        "apns-priority": "10",
    }
    assert (first.path, request.path) == (None, b"/3/device/aa")


def test_with_a_certificate_there_is_no_authorization() -> None:
    apple = Apple(by_certificate=True)

    apple.push([make_target()])

    assert "authorization" not in dict(apple.production.sent[0][0].headers)


def test_environment_and_app_of_the_device_choose_host_and_topic() -> None:
    apple = Apple()

    apple.push(
        [
            make_target(1, "aa"),
            make_target(2, "bb", environment="sandbox"),
            make_target(3, "cc", app="org.example.pier"),
            make_target(4, "dd", environment="moon"),
        ]
    )

    def seen(client: FakeClient) -> set[tuple[str, bytes | None]]:
        return {
            (dict(head.headers)["apns-topic"], request.path)
            for head, request in client.sent
        }

    assert seen(apple.sandbox) == {("org.example.harbour", b"/3/device/bb")}
    assert seen(apple.production) == {
        ("org.example.harbour", b"/3/device/aa"),
        ("org.example.pier", b"/3/device/cc"),
        ("org.example.harbour", b"/3/device/dd"),
    }


def test_a_bad_token_that_the_other_environment_takes_belongs_there() -> None:
    apple = Apple(production=always(BAD_TOKEN))

    reports = apple.push([make_target()])

    outcome = reports.by_device[1]
    assert (outcome.kind, outcome.environment) == ("accepted", "sandbox")


@pytest.mark.parametrize(
    "elsewhere",
    [
        BAD_TOKEN,
        refusal(410, "Unregistered"),
        refusal(400, "DeviceTokenNotForTopic"),
        refusal(403, "BadEnvironmentKeyInToken"),
    ],
)
def test_a_token_that_is_bad_in_both_environments_is_suspect(
    elsewhere: Response,
) -> None:
    apple = Apple(always(BAD_TOKEN), always(elsewhere))

    reports = apple.push([make_target()])

    outcome = reports.by_device[1]
    assert (outcome.kind, outcome.reason) == ("suspect", "BadDeviceToken")
    assert len(apple.sandbox.sent) == 1


def test_a_key_for_one_environment_is_no_alarm_when_trying_the_other() -> None:
    apple = Apple(always(BAD_TOKEN), always(refusal(403, "BadEnvironmentKeyInToken")))

    apple.push([make_target()])

    assert apple.troubles.reports == []


def test_a_bad_token_waits_while_the_other_environment_is_unreachable() -> None:
    apple = Apple(always(BAD_TOKEN), always(ChannelDown("unreachable")))

    reports = apple.push([make_target()])

    assert reports.kinds() == ["later"]


def test_a_bad_token_waits_for_a_limited_number_of_tries() -> None:
    apple = Apple(always(BAD_TOKEN), always(refusal(503, "ServiceUnavailable")))

    reports = apple.push([make_target(attempts=3)])

    assert reports.kinds() == ["suspect"]


def test_the_refusal_of_one_app_does_not_affect_the_others() -> None:
    def answer(head: Head, request: Request) -> Response:
        wrong = dict(head.headers)["apns-topic"] == "org.example.pier"
        return refusal(403, "InvalidProviderToken") if wrong else OK

    apple = Apple(production=answer)
    own = [make_target(n) for n in (1, 2)]
    other = [make_target(n, app="org.example.pier") for n in (3, 4, 5)]

    first, second = apple.push([*own, *other]), apple.push([*own, *other])

    assert first.kinds() == ["accepted"] * 2 + ["credentials"] * 3
    assert second.kinds() == ["accepted"] * 2 + ["credentials"] * 3
    assert apple.troubles.standing() == {
        "apns production org.example.pier": "InvalidProviderToken"
    }


def test_an_outage_of_one_environment_does_not_affect_the_other() -> None:
    apple = Apple(sandbox=always(ChannelDown("unreachable", retry_after_s=1)))
    reports = Reports()
    targets = [make_target(1, environment="sandbox"), make_target(2)]

    with pytest.raises(ChannelDown):
        asyncio.run(
            apple.channel.send(
                apple.channel.render(make_notification()), targets, reports
            )
        )

    assert reports.by_device.keys() == {2}


def test_an_expired_provider_token_is_replaced_and_the_push_sent_again() -> None:
    def answer(head: Head, request: Request) -> Response:
        old = dict(head.headers)["authorization"] == "bearer t1"
        return refusal(403, "ExpiredProviderToken") if old else OK

    apple = Apple(production=answer)

    assert apple.push([make_target()]).kinds() == ["accepted"]
    assert apple.tokens.number == 2


def test_too_many_provider_tokens_make_the_rest_wait_unsent() -> None:
    apple = Apple(production=always(refusal(429, "TooManyProviderTokenUpdates")))

    first = apple.push([make_target(n) for n in range(10)])
    with pytest.raises(ChannelDown, match="TooManyProviderTokenUpdates") as down:
        apple.push([make_target(n) for n in range(10, 1000)])

    assert first.kinds() == ["later"] * 10
    assert down.value.retry_after_s == pytest.approx(60, abs=5)
    assert len(apple.production.sent) == 10


def test_too_many_pushes_to_a_device_make_that_one_wait() -> None:
    apple = Apple(production=always(refusal(429, "TooManyRequests")))

    apple.push([make_target(n) for n in range(100)])
    apple.push([make_target(n) for n in range(100)])

    assert len(apple.production.sent) == 200


@pytest.mark.parametrize("app", ["a b", "ä", "a\r\nb: c", "x" * 300])
def test_an_app_that_fits_no_header_makes_its_device_suspect(app: str) -> None:
    apple = Apple()

    reports = apple.push([make_target(1, app=app), make_target(2)])

    assert reports.kinds() == ["suspect", "accepted"]


def test_a_topic_that_is_not_ours_is_the_devices_fault() -> None:
    apple = Apple(production=always(refusal(400, "TopicDisallowed")))

    reports = apple.push([make_target(1, app="org.example.pier"), make_target(2)])

    assert reports.kinds() == ["suspect", "credentials"]


def test_the_number_of_routes_is_limited() -> None:
    apple = Apple()
    targets = [make_target(n, app=f"app{n}") for n in range(MAX_ROUTES * 2)]

    reports = apple.push(targets)

    assert reports.kinds() == ["accepted"] * len(targets)
    assert len(apple.channel._routes) == MAX_ROUTES


def test_closing_twice_is_harmless() -> None:
    apple = Apple()

    asyncio.run(apple.channel.close())
    asyncio.run(apple.channel.close())
