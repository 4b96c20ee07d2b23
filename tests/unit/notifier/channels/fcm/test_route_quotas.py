"""What is sent, and what is not, once FCM says that it was too much."""

import json
from typing import Any

import pytest

from notifier.channels.fcm import DIALECT, outcomes
from notifier.http2 import Response
from notifier.outcome import ChannelDown
from tests.support.routes import World, always, by_body

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
EXCEEDED = {"@type": FCM_ERROR, "errorCode": "QUOTA_EXCEEDED"}


def too_much(
    *details: dict[str, Any], message: str = "QuotaScope exceeded.", status: int = 429
) -> Response:
    error = {
        "code": status,
        "message": message,
        "status": "RESOURCE_EXHAUSTED",
        "details": details,
    }
    body = json.dumps({"error": error}).encode()
    return Response(status, (("retry-after", "90"),), body)


def failure(subject: str, description: str = "QuotaScope exceeded.") -> dict[str, Any]:
    violation = {"subject": subject, "description": description}
    return {"@type": QUOTA_FAILURE, "violations": [violation]}


def info(quota_unit: object) -> dict[str, Any]:
    """What Google's front says when it counts."""
    metadata = {"consumer": "projects/1", "quota_unit": quota_unit}
    reason = "RATE_LIMIT_EXCEEDED"
    return {"@type": ERROR_INFO, "reason": reason, "metadata": metadata}


OF_PROJECT = [
    too_much(info("1/min/{project}")),
    too_much(EXCEEDED, failure("project:harbour")),
    too_much(failure("project:topic-of-devices")),
    too_much(failure("projects/1"), message="Message rate exceeded."),
]
OF_ONE = [
    too_much(EXCEEDED, failure("device:abc")),
    too_much(EXCEEDED, failure("topic:news")),
    too_much(EXCEEDED, failure("abc", "Device message rate exceeded.")),
    too_much(failure("project:harbour", "Too many messages to one device.")),
    too_much(EXCEEDED, message="Topic quota exceeded."),
    too_much(EXCEEDED, message="QuotaScope exceeded for this device."),
]
UNSAID = [
    too_much(),
    too_much(EXCEEDED),
    too_much(EXCEEDED, failure("")),
    too_much(EXCEEDED, failure("clientip:192.0.2.1")),
    too_much(info("1/min/{project}/{user}")),
    too_much(info(7)),
    too_much({"@type": QUOTA_FAILURE, "violations": [None, 7, {"subject": []}]}),
    too_much({"@type": QUOTA_FAILURE, "violations": "none"}),
    Response(429, (), b"<html>Too Many Requests</html>"),
]


def judged(response: Response) -> tuple[bool, bool]:
    outcome = outcomes.read(response)
    return (
        outcomes.is_route_wide(response, outcome),
        outcomes.is_server_error(response, outcome),
    )


@pytest.mark.parametrize("response", OF_PROJECT)
def test_the_projects_quota_is_everybodys(response: Response) -> None:
    assert judged(response) == (True, False)


@pytest.mark.parametrize("response", OF_ONE)
def test_a_devices_quota_is_its_own(response: Response) -> None:
    assert judged(response) == (False, False)


@pytest.mark.parametrize("response", UNSAID)
def test_a_quota_of_nobody_is_the_projects_only_if_many_meet_it(
    response: Response,
) -> None:
    assert judged(response) == (False, True)


def test_server_errors_are_never_a_matter_of_quota() -> None:
    assert judged(too_much(info("1/min/{project}"), status=503)) == (False, True)


def push_all(world: World) -> int:
    """A fan-out to 100,000 devices; returns for how many there was no request."""
    unsent = 0
    for _ in range(100):
        try:
            world.push(1000)
        except ChannelDown:
            unsent += 1000
    return unsent


@pytest.mark.parametrize("response", [OF_PROJECT[0], UNSAID[1]])
def test_once_the_quota_is_used_up_the_rest_is_not_sent(response: Response) -> None:
    world = World(always(response), dialect=DIALECT)

    assert push_all(world) == 99_000
    assert len(world.client.sent) == 1000


def test_small_conversations_notice_it_at_once() -> None:
    world = World(always(OF_PROJECT[0]), dialect=DIALECT)
    world.push(1)

    with pytest.raises(ChannelDown) as down:
        world.push(1)

    assert down.value.retry_after_s == 90


@pytest.mark.parametrize("response", [OF_ONE[0], UNSAID[0]])
def test_one_device_that_gets_too_much_holds_up_nobody_else(response: Response) -> None:
    world = World(by_body({b"1": response}), dialect=DIALECT)

    for _ in range(50):
        assert world.push(3).kinds() == ["accepted", "later", "accepted"]
