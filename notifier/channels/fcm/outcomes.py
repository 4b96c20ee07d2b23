"""FCM's statuses and error codes, as outcomes of a push.

https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from models.base import utc_now
from notifier.channels import responses
from notifier.http2 import Response
from notifier.outcome import ACCEPTED, Kind, Outcome

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
# For iOS and web devices behind FCM: the keys of their app are wrong, ours are not.
THIRD_PARTY_AUTH_ERROR = "THIRD_PARTY_AUTH_ERROR"

KINDS = {
    "UNREGISTERED": Kind.GONE,
    # About a token or a payload: see _invalid_argument.
    "INVALID_ARGUMENT": Kind.REFUSED,
    # The token of another project's app.
    "SENDER_ID_MISMATCH": Kind.SUSPECT,
    "QUOTA_EXCEEDED": Kind.LATER,
    "UNAVAILABLE": Kind.LATER,
    "INTERNAL": Kind.LATER,
    THIRD_PARTY_AUTH_ERROR: Kind.CREDENTIALS,
    "UNSPECIFIED_ERROR": Kind.LATER,
}

# https://firebase.google.com/docs/cloud-messaging/scale-fcm: the shortest pause
# without a Retry-After.
QUOTA_WAIT_S = 60.0
SERVER_ERROR_WAIT_S = 10.0
# The app's owner has to replace the keys, and the breaker stays closed meanwhile.
THIRD_PARTY_WAIT_S = 3600.0
# "No more information is available": a refusal after this many tries.
UNSPECIFIED_TRIES = 5

BAD_TOKEN_WORDS = "registration token"  # noqa: S105 - words of an error message

_is_of_target = re.compile(r"device|topic|registration|instance", re.IGNORECASE).search


class QuotaScope(Enum):
    """The quota that is used up."""

    # The device's; pushes to other devices can go on.
    TARGET = "target"
    # Our project's; every other push would be refused, too.
    PROJECT = "project"
    UNKNOWN = "unknown"


def read(response: Response, *, attempts: int = 0) -> Outcome:
    """The outcome of a push that had been tried `attempts` times before."""
    status = response.status
    if status == 200:
        return ACCEPTED
    error = responses.member(responses.json_object(response.body), "error")
    code = _code(error)
    kind = KINDS.get(code)
    has_words = bool(code) or not responses.is_page(response)
    if status == 400 and has_words and code in ("INVALID_ARGUMENT", ""):
        return _invalid_argument(error, has_code=bool(code))
    if kind is None or not responses.is_plausible(status, kind):
        return _without_code(response, error)
    if code == "UNSPECIFIED_ERROR" and attempts + 1 >= UNSPECIFIED_TRIES:
        return Outcome(Kind.REFUSED, code)
    if code == THIRD_PARTY_AUTH_ERROR:
        return Outcome(kind, code, THIRD_PARTY_WAIT_S)
    return _with_pause(Outcome(kind, code), response)


def is_route_rate_limit(response: Response, outcome: Outcome) -> bool:
    """Whether the response names the project's quota as the one used up."""
    return response.status == 429 and _quota(response) is QuotaScope.PROJECT


def is_server_error(response: Response, outcome: Outcome) -> bool:
    """Server errors, and quotas that the response does not name.

    The limit of one device must not hold up the others, so only many of these in a row
    count as the project's.
    """
    if response.status == 429:
        return _quota(response) is QuotaScope.UNKNOWN
    return response.status >= 500


def _quota(response: Response) -> QuotaScope:
    """The quota that a 429 is about.

    QuotaFailure should name it. Google's front end, which counts for the project, sends
    an ErrorInfo instead: https://github.com/firebase/firebase-admin-go/issues/719
    """
    error = responses.member(responses.json_object(response.body), "error")
    violations = _violations(error, QUOTA_FAILURE, "violations")
    subjects = [responses.string(violation, "subject") for violation in violations]
    # A project's id may hold any word.
    projects = [subject for subject in subjects if subject.startswith("project")]
    said = [subject for subject in subjects if subject not in projects]
    said += [responses.string(violation, "description") for violation in violations]
    said.append(responses.string(error, "message"))
    if any(_is_of_target(words) for words in said):
        return QuotaScope.TARGET
    if projects or any(_is_per_project(info) for info in _details(error, ERROR_INFO)):
        return QuotaScope.PROJECT
    return QuotaScope.UNKNOWN


def _is_per_project(info: Mapping[str, Any]) -> bool:
    """Whether the quota counts per project and nothing smaller: "1/min/{project}"."""
    metadata = responses.member(info, "metadata")
    return responses.string(metadata, "quota_unit").endswith("/{project}")


def _details(error: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """Google's error details of one type."""
    details = responses.members(error, "details")
    return [detail for detail in details if detail.get("@type") == kind]


def _violations(
    error: Mapping[str, Any], kind: str, name: str
) -> list[Mapping[str, Any]]:
    details = _details(error, kind)
    return [v for detail in details for v in responses.members(detail, name)]


def _code(error: Mapping[str, Any]) -> str:
    """FCM's own error code; errors of Google's front end may have none."""
    errors = _details(error, FCM_ERROR)
    return responses.string(errors[0], "errorCode") if errors else ""


def _invalid_argument(error: Mapping[str, Any], *, has_code: bool) -> Outcome:
    """A bad token or a bad payload; only a certainly bad token disables a device."""
    message = responses.string(error, "message")
    reason = f"INVALID_ARGUMENT: {message}" if message else "INVALID_ARGUMENT"
    fields = [
        responses.string(violation, "field")
        for violation in _violations(error, BAD_REQUEST, "fieldViolations")
    ]
    about_token = (
        all(field == "message.token" for field in fields)
        if fields
        else BAD_TOKEN_WORDS in message
    )
    if not about_token:
        return Outcome(Kind.REFUSED, reason)
    return Outcome(Kind.GONE if has_code else Kind.SUSPECT, reason)


def _without_code(response: Response, error: Mapping[str, Any]) -> Outcome:
    reason = responses.string(error, "status") or f"status {response.status}"
    if message := responses.string(error, "message"):
        reason = f"{reason}: {message}"
    if response.status == 404 and not responses.is_page(response):
        # FCM's code is missing: the project of our service account does not exist.
        return Outcome(Kind.CREDENTIALS, reason)
    return _with_pause(responses.by_status(response, reason), response)


def _with_pause(outcome: Outcome, response: Response) -> Outcome:
    if outcome.kind is not Kind.LATER:
        return outcome
    pause_s = responses.retry_after_s(response.headers, utc_now())
    least_s = QUOTA_WAIT_S if response.status == 429 else SERVER_ERROR_WAIT_S
    return outcome._replace(retry_after_s=pause_s or least_s)
