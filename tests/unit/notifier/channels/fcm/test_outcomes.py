"""Every status and error code of FCM, with the outcome of the push."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.fcm import outcomes
from notifier.http2 import Response
from notifier.outcome import ACCEPTED, Kind

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
BAD_TOKEN = "The registration token is not a valid FCM registration token"


def error(
    status: int,
    code: str | None = None,
    *,
    message: str = "",
    fields: tuple[str, ...] = (),
    headers: tuple[tuple[str, str], ...] = (),
    name: str = "STATUS",
) -> Response:
    details: list[dict[str, Any]] = []
    if code is not None:
        details.append({"@type": FCM_ERROR, "errorCode": code})
    if fields:
        violations = [{"field": field, "description": "wrong"} for field in fields]
        details.append({"@type": BAD_REQUEST, "fieldViolations": violations})
    body = {
        "error": {
            "code": status,
            "message": message,
            "status": name,
            "details": details,
        }
    }
    return Response(status, headers, json.dumps(body).encode())


def test_200_is_accepted() -> None:
    response = Response(200, (), b'{"name": "projects/p/messages/1"}')

    assert outcomes.read(response) is ACCEPTED


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "UNREGISTERED", "gone"),
        (400, "INVALID_ARGUMENT", "refused"),
        (403, "SENDER_ID_MISMATCH", "suspect"),
        (429, "QUOTA_EXCEEDED", "later"),
        (503, "UNAVAILABLE", "later"),
        (500, "INTERNAL", "later"),
        (401, "THIRD_PARTY_AUTH_ERROR", "credentials"),
        (500, "UNSPECIFIED_ERROR", "later"),
    ],
)
def test_every_code_has_its_outcome(status: int, code: str, kind: str) -> None:
    outcome = outcomes.read(error(status, code))

    assert outcome.kind == kind
    assert outcome.reason.startswith(code)


def test_a_bad_token_disables_the_device() -> None:
    response = error(400, "INVALID_ARGUMENT", message=BAD_TOKEN)

    assert outcomes.read(response).kind is Kind.GONE


def test_a_violation_of_the_token_alone_disables_the_device() -> None:
    response = error(400, "INVALID_ARGUMENT", fields=("message.token",))

    assert outcomes.read(response).kind is Kind.GONE


@pytest.mark.parametrize(
    "fields", [("message.data",), ("message.token", "message.android.ttl")]
)
def test_a_bad_payload_keeps_the_device_even_if_the_message_names_the_token(
    fields: tuple[str, ...],
) -> None:
    response = error(400, "INVALID_ARGUMENT", message=BAD_TOKEN, fields=fields)

    assert outcomes.read(response).kind is Kind.REFUSED


def test_without_fcms_own_code_a_bad_token_is_only_suspect() -> None:
    response = error(400, message=BAD_TOKEN, name="INVALID_ARGUMENT")

    assert outcomes.read(response).kind is Kind.SUSPECT


def test_without_fcms_own_code_a_bad_request_is_refused() -> None:
    response = error(400, message="Invalid JSON payload received.")

    outcome = outcomes.read(response)

    assert outcome.kind is Kind.REFUSED
    assert "Invalid JSON payload" in outcome.reason


@pytest.mark.parametrize(
    ("status", "kind", "pause_s"),
    [
        (401, "credentials", None),
        (403, "credentials", None),
        # Without FCM's code it is the project that does not exist.
        (404, "credentials", None),
        (413, "refused", None),
        (429, "later", 60),
        (500, "later", 10),
        (502, "later", 10),
        (503, "later", 10),
    ],
)
def test_without_fcms_own_code_the_status_decides(
    status: int, kind: str, pause_s: float | None
) -> None:
    outcome = outcomes.read(error(status))

    assert (outcome.kind, outcome.retry_after_s) == (kind, pause_s)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418])
def test_a_page_is_from_a_proxy_and_final_only_about_the_size(status: int) -> None:
    page = b"<html>nope</html>"

    assert outcomes.read(Response(status, (), page)).kind is Kind.LATER
    assert outcomes.read(Response(413, (), page)).kind is Kind.REFUSED


@pytest.mark.parametrize("status", [406, 409, 421, 425, 499])
def test_trouble_of_a_moment_is_never_final(status: int) -> None:
    assert outcomes.read(error(status)).kind is Kind.LATER


@pytest.mark.parametrize(
    ("status", "code", "pause_s"),
    [(429, "QUOTA_EXCEEDED", 60), (503, "UNAVAILABLE", 10), (500, "INTERNAL", 10)],
)
def test_there_is_a_least_pause(status: int, code: str, pause_s: float) -> None:
    assert outcomes.read(error(status, code)).retry_after_s == pause_s


def test_retry_after_goes_before_the_least_pause() -> None:
    response = error(429, "QUOTA_EXCEEDED", headers=(("retry-after", "7"),))

    assert outcomes.read(response).retry_after_s == 7


def test_keys_of_third_parties_are_tried_again_after_an_hour() -> None:
    outcome = outcomes.read(error(401, "THIRD_PARTY_AUTH_ERROR"))

    assert (outcome.kind, outcome.retry_after_s) == (Kind.CREDENTIALS, 3600)


def test_an_unspecified_error_is_not_tried_for_ever() -> None:
    response = error(500, "UNSPECIFIED_ERROR")

    kinds = [outcomes.read(response, attempts=n).kind for n in (0, 3, 4, 9)]

    assert kinds == ["later", "later", "refused", "refused"]


@pytest.mark.parametrize(
    "body",
    [
        {"error": None},
        {"error": {"details": "none"}},
        {"error": {"details": [None, 7, {"@type": FCM_ERROR}]}},
        {"error": {"details": [{"@type": FCM_ERROR, "errorCode": ["UNREGISTERED"]}]}},
        {"error": {"details": [{"@type": "another", "errorCode": "UNREGISTERED"}]}},
    ],
)
def test_a_malformed_error_never_disables_a_device(body: object) -> None:
    response = Response(404, (), json.dumps(body).encode())

    assert outcomes.read(response).kind is Kind.CREDENTIALS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["error", "details", "@type", "errorCode", "message"]),
            inner,
        )
    ),
)


@given(st.integers(100, 999).filter(lambda s: s != 200), JSON)
def test_nothing_but_200_is_ever_accepted(status: int, body: object) -> None:
    response = Response(status, (), json.dumps(body).encode())

    assert outcomes.read(response).kind is not Kind.ACCEPTED


@given(st.sampled_from([201, 302, 500, 503]))
def test_unregistered_with_another_status_keeps_the_device(status: int) -> None:
    detail = {"@type": FCM_ERROR, "errorCode": "UNREGISTERED"}
    body = json.dumps({"error": {"details": [detail]}}).encode()

    assert outcomes.read(Response(status, (), body)).kind is Kind.LATER
