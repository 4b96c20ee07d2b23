"""Every status and reason of APNs, with the outcome of the push."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.apns import outcomes
from notifier.http2 import Response
from notifier.outcome import ACCEPTED, Kind

TABLE = [
    (400, "BadCollapseId", "refused"),
    (400, "BadDeviceToken", "suspect"),
    (400, "BadExpirationDate", "refused"),
    (400, "BadMessageId", "refused"),
    (400, "BadPriority", "refused"),
    (400, "BadTopic", "credentials"),
    (400, "DeviceTokenNotForTopic", "suspect"),
    (400, "DuplicateHeaders", "refused"),
    (400, "IdleTimeout", "later"),
    (400, "InvalidPushType", "refused"),
    (400, "MissingDeviceToken", "suspect"),
    (400, "MissingTopic", "credentials"),
    (400, "PayloadEmpty", "refused"),
    (400, "TopicDisallowed", "credentials"),
    (403, "BadCertificate", "credentials"),
    (403, "BadCertificateEnvironment", "credentials"),
    (403, "BadEnvironmentKeyIdInToken", "credentials"),
    (403, "BadEnvironmentKeyInToken", "credentials"),
    (403, "ExpiredProviderToken", "credentials"),
    (403, "Forbidden", "credentials"),
    (403, "InvalidProviderToken", "credentials"),
    (403, "MissingProviderToken", "credentials"),
    (403, "UnrelatedKeyIdInToken", "credentials"),
    (404, "BadPath", "suspect"),
    (405, "MethodNotAllowed", "refused"),
    (410, "ExpiredToken", "gone"),
    (410, "Unregistered", "gone"),
    (413, "PayloadTooLarge", "refused"),
    (429, "TooManyProviderTokenUpdates", "later"),
    (429, "TooManyRequests", "later"),
    (500, "InternalServerError", "later"),
    (503, "ServiceUnavailable", "later"),
    (503, "Shutdown", "later"),
]


def respond(
    status: int, body: object = None, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, headers, raw)


def test_200_is_accepted() -> None:
    assert outcomes.read(respond(200, b"")) is ACCEPTED


@pytest.mark.parametrize(("status", "reason", "kind"), TABLE)
def test_every_reason_has_its_outcome(status: int, reason: str, kind: str) -> None:
    outcome = outcomes.read(respond(status, {"reason": reason}))

    assert (outcome.kind, outcome.reason) == (kind, reason)


def test_the_table_of_the_product_has_no_other_reasons() -> None:
    assert set(outcomes.KINDS) == {reason for _, reason, _ in TABLE}


@pytest.mark.parametrize("reason", ["BadTopic", "MissingTopic", "TopicDisallowed"])
def test_a_topic_that_came_with_the_device_makes_the_device_suspect(
    reason: str,
) -> None:
    outcome = outcomes.read(respond(400, {"reason": reason}), own_app=True)

    assert (outcome.kind, outcome.reason) == ("suspect", reason)


def test_a_wrong_key_is_ours_whatever_the_app() -> None:
    response = respond(403, {"reason": "InvalidProviderToken"})

    assert outcomes.read(response, own_app=True).kind is Kind.CREDENTIALS


def test_gone_keeps_the_milliseconds_since_when() -> None:
    body = {"reason": "Unregistered", "timestamp": 1_700_000_000_123}

    outcome = outcomes.read(respond(410, body))

    assert outcome.gone_since == datetime(2023, 11, 14, 22, 13, 20, 123000, UTC)


@pytest.mark.parametrize(
    "timestamp", [None, "soon", True, [], 1e300, -1e300, float("inf"), float("nan")]
)
def test_gone_with_an_unreadable_time_is_gone_without_one(timestamp: object) -> None:
    body = {"reason": "Unregistered", "timestamp": timestamp}

    outcome = outcomes.read(respond(410, body))

    assert (outcome.kind, outcome.gone_since) == ("gone", None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "refused"),
        (401, "credentials"),
        (403, "credentials"),
        (404, "refused"),
        (408, "later"),
        (410, "gone"),
        (413, "refused"),
        (418, "refused"),
        (429, "later"),
        (500, "later"),
        (502, "later"),
        (503, "later"),
        (204, "later"),
        (302, "later"),
        (999, "later"),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'"Unregistered"',
        b'{"reason": 7}',
        b'{"reason": "FromTheFuture"}',
        b"[" * 100_000,
    ],
)
def test_without_a_known_reason_the_status_decides(
    status: int, kind: str, body: bytes
) -> None:
    outcome = outcomes.read(respond(status, body))

    assert outcome.kind == kind
    assert outcome.reason


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 500])
def test_a_page_is_from_a_proxy_and_final_only_about_the_size(status: int) -> None:
    page = b"\n<!DOCTYPE html><title>Blocked</title>"

    assert outcomes.read(Response(status, (), page)).kind is Kind.LATER
    assert outcomes.read(Response(413, (), page)).kind is Kind.REFUSED


@pytest.mark.parametrize("status", [406, 408, 409, 421, 423, 425, 429, 499])
def test_trouble_of_a_moment_is_never_final(status: int) -> None:
    assert outcomes.read(respond(status, {"reason": "Odd"})).kind is Kind.LATER


def test_an_unknown_reason_is_kept_for_people() -> None:
    outcome = outcomes.read(respond(400, {"reason": "BadMoon"}))

    assert outcome.reason == "BadMoon"


def test_retry_after_is_honoured() -> None:
    response = respond(503, {"reason": "Shutdown"}, (("retry-after", "17"),))

    assert outcomes.read(response).retry_after_s == 17


def test_token_updates_in_a_hurry_wait_a_minute() -> None:
    response = respond(429, {"reason": "TooManyProviderTokenUpdates"})

    assert outcomes.read(response).retry_after_s == 60


@pytest.mark.parametrize(
    ("status", "reason", "is_wide"),
    [
        (429, "TooManyProviderTokenUpdates", True),
        (429, "TooManyRequests", False),
        (429, "TooManyOfTomorrow", False),
        (503, "TooManyProviderTokenUpdates", False),
        (503, "ServiceUnavailable", False),
    ],
)
def test_only_our_token_makes_all_of_the_route_wait(
    status: int, reason: str, is_wide: bool
) -> None:
    response = respond(status, {"reason": reason})

    outcome = outcomes.read(response)

    assert outcomes.is_route_rate_limit(response, outcome) is is_wide


def test_only_later_carries_a_pause() -> None:
    response = respond(400, {"reason": "PayloadEmpty"}, (("retry-after", "17"),))

    assert outcomes.read(response).retry_after_s is None


@given(st.integers(100, 999).filter(lambda s: s != 200), st.binary(max_size=200))
def test_nothing_but_200_is_ever_accepted(status: int, body: bytes) -> None:
    outcome = outcomes.read(Response(status, (), body))

    assert outcome.kind is not Kind.ACCEPTED


@pytest.mark.parametrize("status", [201, 302, 500, 503])
def test_a_reason_for_410_with_another_status_keeps_the_device(status: int) -> None:
    response = Response(status, (), b'{"reason": "Unregistered"}')

    assert outcomes.read(response).kind is Kind.LATER
