"""Fault tokens with APNs."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from sandbox import faults
from tests.support.provider_client import ConnectionOver
from tests.support.provider_tokens import DEVICE, ApnsSender
from tests.support.sandbox import Sandbox

INTERNAL_ERROR, REFUSED_STREAM = 2, 7


@pytest.mark.parametrize(
    ("device", "status", "reason"),
    [
        ("unregistered", 410, "Unregistered"),
        ("expired-token-1", 410, "ExpiredToken"),
        ("bad-token-1", 400, "BadDeviceToken"),
        ("not-for-topic-1", 400, "DeviceTokenNotForTopic"),
        ("topic-disallowed-1", 400, "TopicDisallowed"),
        ("too-many-1", 429, "TooManyRequests"),
        ("429-1", 429, "TooManyRequests"),
        ("429", 429, "TooManyRequests"),
        ("too-many-updates-1", 429, "TooManyProviderTokenUpdates"),
        ("503-1", 503, "ServiceUnavailable"),
        ("500-1", 500, "InternalServerError"),
        ("shutdown-1", 503, "Shutdown"),
        ("payload-too-large-1", 413, "PayloadTooLarge"),
        ("bad-environment-key-1", 403, "BadEnvironmentKeyInToken"),
        ("unknown-reason-1", 400, "ReasonOfTomorrow"),
        ("answer-403-BadEnvironmentKeyIdInToken-1", 403, "BadEnvironmentKeyIdInToken"),
        ("answer-403-Forbidden", 403, "Forbidden"),
    ],
)
def test_token_is_refused_as_it_says(
    apns: ApnsSender, device: str, status: int, reason: str
) -> None:
    assert apns.refused(device) == (status, reason)


@pytest.mark.parametrize("device", ["unregistered-1", "unregistered-new-1"])
def test_unregistered_token_has_the_time_of_now(apns: ApnsSender, device: str) -> None:
    died_at_ms = json.loads(apns.push(device).body)["timestamp"]

    assert abs(died_at_ms / 1000 - time.time()) < 60


def test_old_unregistration_is_a_year_ago(apns: ApnsSender) -> None:
    died_at_ms = json.loads(apns.push("unregistered-old-1").body)["timestamp"]

    assert time.time() - died_at_ms / 1000 > 300 * 24 * 3600


def test_wrong_environment_is_right_in_development(
    apns: ApnsSender, apns_development: ApnsSender
) -> None:
    assert apns.refused("wrong-environment-1") == (400, "BadDeviceToken")
    assert apns_development.push("wrong-environment-1").status == 200


@pytest.mark.parametrize("device", ["too-many-1", "503-after-1"])
def test_retry_after_is_in_seconds(
    sandbox: Sandbox, apns: ApnsSender, device: str
) -> None:
    sandbox.control(retry_after_s=17)

    assert apns.push(device).headers["retry-after"] == "17"


def test_retry_after_can_be_a_date(sandbox: Sandbox, apns: ApnsSender) -> None:
    sandbox.control(retry_after_s=600)

    date = parsedate_to_datetime(apns.push("503-date-1").headers["retry-after"])

    assert 590 <= (date - datetime.now(UTC)).total_seconds() <= 600


def test_plain_503_has_no_retry_after(apns: ApnsSender) -> None:
    assert "retry-after" not in apns.push("503-1").headers


def test_reset_ends_only_its_stream(apns: ApnsSender) -> None:
    assert apns.push("reset-1").reset == INTERNAL_ERROR
    assert apns.push().status == 200


def test_refused_stream_says_it_was_not_processed(apns: ApnsSender) -> None:
    assert apns.push("refused-stream-1").reset == REFUSED_STREAM
    assert apns.push().status == 200


def test_goaway_names_the_last_stream_before_it(apns: ApnsSender) -> None:
    accepted = apns.send()
    apns.client.wait(accepted)

    with pytest.raises(ConnectionOver):
        apns.push("goaway-1")

    assert apns.client.goaway is not None
    assert apns.client.goaway.last_stream == accepted
    assert json.loads(apns.client.goaway.debug) == {"reason": "Shutdown"}


def test_goaway_lets_earlier_streams_finish(sandbox: Sandbox, apns: ApnsSender) -> None:
    sandbox.control(slow_s=1.5)
    apns.push()
    slow = apns.send("slow-1")
    apns.send("goaway-1")

    assert apns.client.wait(slow).status == 200
    apns.client.wait_for_end()


def test_goaway_after_an_answer_keeps_the_answer(apns: ApnsSender) -> None:
    stream = apns.send("goaway-after-1")

    assert apns.client.wait(stream).status == 200
    apns.client.wait_for_end()
    assert apns.client.goaway is not None
    assert apns.client.goaway.last_stream == stream


def test_cut_closes_the_connection_without_a_response(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    with pytest.raises(ConnectionOver):
        apns.push("cut-1")

    assert apns.client.goaway is None
    assert sandbox.inbox() == []


def test_cut_after_headers_leaves_the_answer_open(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    stream = apns.send("cut-after-headers-1")

    apns.client.wait_for_end()

    reply = apns.client.replies[stream]
    assert (reply.status, reply.ended) == (200, False)
    assert sandbox.inbox() == []


def test_lost_answer_was_accepted(sandbox: Sandbox, apns: ApnsSender) -> None:
    with pytest.raises(ConnectionOver):
        apns.push("lost-answer-1")

    assert [push["token"] for push in sandbox.inbox()] == ["lost-answer-1"]


def test_slow_push_is_accepted_late(sandbox: Sandbox, apns: ApnsSender) -> None:
    sandbox.control(slow_s=1.5)
    apns.push()
    slow, quick = apns.send("slow-1"), apns.send()

    apns.client.wait(quick)

    assert not apns.client.replies[slow].ended
    assert apns.client.wait(slow).status == 200


def test_slow_body_comes_after_its_head(sandbox: Sandbox, apns: ApnsSender) -> None:
    sandbox.control(slow_s=1.5)
    stream = apns.send("slow-body-1")
    reply = apns.client.replies[stream]

    while not reply.status:
        apns.client.read()
    head_only = not reply.body
    apns.client.wait(stream)

    assert head_only
    assert json.loads(reply.body)["reason"] == "Unregistered"


def test_hanging_push_does_not_delay_others(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.push()
    hanging = apns.send("hang-1")

    assert apns.push().status == 200
    assert not apns.client.replies[hanging].ended
    assert len(sandbox.inbox()) == 2


@pytest.mark.parametrize(("device", "status"), [("garbage", 200), ("garbage-400", 400)])
def test_garbage_is_not_json(apns: ApnsSender, device: str, status: int) -> None:
    reply = apns.push(f"{device}-1")

    assert reply.status == status
    with pytest.raises(ValueError):  # noqa: PT011 - of JSON or of UTF-8
        json.loads(reply.body)


def test_flaky_token_fails_as_often_as_it_says(apns: ApnsSender) -> None:
    statuses = [apns.push("flaky-2-a").status for _ in range(4)]

    assert statuses == [503, 503, 200, 200]


def test_once_means_the_first_time_only(apns: ApnsSender) -> None:
    first, second = apns.push("once-reset-1"), apns.push("once-reset-1")

    assert (first.reset, second.status) == (INTERNAL_ERROR, 200)


def test_fault_token_does_not_help_a_wrong_request(apns: ApnsSender) -> None:
    assert apns.refused("503-1", apns_topic=None) == (400, "MissingTopic")


@pytest.mark.parametrize("name", faults.NAMES)
def test_every_fault_differs_from_a_plain_accept(
    sandbox: Sandbox, apns: ApnsSender, name: str
) -> None:
    sandbox.control(slow_s=0.05)
    apns.push()
    stream = apns.send(f"{name}-1")
    if name != "hang":
        with suppress(ConnectionOver):
            apns.client.wait(stream)

    row = sandbox.inbox(all=1, token=f"{name}-1", wait=10)[0]

    assert row["reason"] is not None or name in faults.ACCEPTING


def test_hexadecimal_token_is_never_a_fault_token(apns: ApnsSender) -> None:
    assert apns.push("503" + DEVICE).status == 200
