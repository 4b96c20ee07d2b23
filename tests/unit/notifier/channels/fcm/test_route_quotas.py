"""Which pushes are still sent after FCM has reported an exceeded quota."""

import json
from typing import Any

import pytest

from notifier.channels.fcm import DIALECT, outcomes
from notifier.http2 import Response
from notifier.outcome import ChannelDown
from tests.support.fake_provider import always
from tests.support.route_harness import RouteHarness, by_body

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
EXCEEDED = {"@type": FCM_ERROR, "errorCode": "QUOTA_EXCEEDED"}


def quota_exceeded(
    *details: dict[str, Any], message: str = "Quota exceeded.", status: int = 429
) -> Response:
    error = {
        "code": status,
        "message": message,
        "status": "RESOURCE_EXHAUSTED",
        "details": details,
    }
    body = json.dumps({"error": error}).encode()
    return Response(status, (("retry-after", "90"),), body)


def failure(subject: str, description: str = "Quota exceeded.") -> dict[str, Any]:
    violation = {"subject": subject, "description": description}
    return {"@type": QUOTA_FAILURE, "violations": [violation]}


def info(quota_unit: object) -> dict[str, Any]:
    """The detail of Google's front end, which counts for the project."""
    metadata = {"consumer": "projects/1", "quota_unit": quota_unit}
    reason = "RATE_LIMIT_EXCEEDED"
    return {"@type": ERROR_INFO, "reason": reason, "metadata": metadata}


OF_PROJECT = [
    quota_exceeded(info("1/min/{project}")),
    quota_exceeded(EXCEEDED, failure("project:harbour")),
    quota_exceeded(failure("project:topic-of-devices")),
    quota_exceeded(failure("projects/1"), message="Message rate exceeded."),
]
OF_ONE = [
    quota_exceeded(EXCEEDED, failure("device:abc")),
    quota_exceeded(EXCEEDED, failure("topic:news")),
    quota_exceeded(EXCEEDED, failure("abc", "Device message rate exceeded.")),
    quota_exceeded(failure("project:harbour", "Too many messages to one device.")),
    quota_exceeded(EXCEEDED, message="Topic quota exceeded."),
    quota_exceeded(EXCEEDED, message="Quota exceeded for this device."),
]
UNKNOWN = [
    quota_exceeded(),
    quota_exceeded(EXCEEDED),
    quota_exceeded(EXCEEDED, failure("")),
    quota_exceeded(EXCEEDED, failure("clientip:192.0.2.1")),
    quota_exceeded(info("1/min/{project}/{user}")),
    quota_exceeded(info(7)),
    quota_exceeded({"@type": QUOTA_FAILURE, "violations": [None, 7, {"subject": []}]}),
    quota_exceeded({"@type": QUOTA_FAILURE, "violations": "none"}),
    Response(429, (), b"<html>Too Many Requests</html>"),
]


def classify(response: Response) -> tuple[bool, bool]:
    outcome = outcomes.read(response)
    return (
        outcomes.is_route_rate_limit(response, outcome),
        outcomes.is_server_error(response, outcome),
    )


@pytest.mark.parametrize("response", OF_PROJECT)
def test_the_projects_quota_concerns_the_whole_route(response: Response) -> None:
    assert classify(response) == (True, False)


@pytest.mark.parametrize("response", OF_ONE)
def test_a_devices_quota_concerns_that_device_only(response: Response) -> None:
    assert classify(response) == (False, False)


@pytest.mark.parametrize("response", UNKNOWN)
def test_an_unnamed_quota_is_the_projects_only_if_many_meet_it(
    response: Response,
) -> None:
    assert classify(response) == (False, True)


def test_server_errors_are_never_a_matter_of_quota() -> None:
    assert classify(quota_exceeded(info("1/min/{project}"), status=503)) == (
        False,
        True,
    )


def push_all(harness: RouteHarness) -> int:
    """Push to 100,000 devices; returns the number of pushes that were not sent."""
    unsent = 0
    for _ in range(100):
        try:
            harness.push(1000)
        except ChannelDown:
            unsent += 1000
    return unsent


@pytest.mark.parametrize("response", [OF_PROJECT[0], UNKNOWN[1]])
def test_once_the_quota_is_used_up_the_rest_is_not_sent(response: Response) -> None:
    harness = RouteHarness(always(response), dialect=DIALECT)

    assert push_all(harness) == 99_000
    assert len(harness.client.sent) == 1000


def test_small_conversations_notice_it_at_once() -> None:
    harness = RouteHarness(always(OF_PROJECT[0]), dialect=DIALECT)
    harness.push(1)

    with pytest.raises(ChannelDown) as down:
        harness.push(1)

    assert down.value.retry_after_s == 90


@pytest.mark.parametrize("response", [OF_ONE[0], UNKNOWN[0]])
def test_the_limit_of_one_device_does_not_delay_the_others(response: Response) -> None:
    harness = RouteHarness(by_body({b"1": response}), dialect=DIALECT)

    for _ in range(50):
        assert harness.push(3).kinds() == ["accepted", "later", "accepted"]
