"""What FCM's statuses and error codes mean for a push.

https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
"""

from collections.abc import Mapping
from typing import Any

from models.base import utc_now
from notifier.channels import answers
from notifier.http2 import Response
from notifier.outcome import ACCEPTED, Kind, Outcome

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
# Of iOS and web devices behind FCM: their owner's keys are wrong, ours are not.
THIRD_PARTY_AUTH_ERROR = "THIRD_PARTY_AUTH_ERROR"

KINDS = {
    "UNREGISTERED": Kind.GONE,
    # Of a token or of a payload: see _invalid_argument.
    "INVALID_ARGUMENT": Kind.REFUSED,
    # The token of another project's app.
    "SENDER_ID_MISMATCH": Kind.SUSPECT,
    "QUOTA_EXCEEDED": Kind.LATER,
    "UNAVAILABLE": Kind.LATER,
    "INTERNAL": Kind.LATER,
    THIRD_PARTY_AUTH_ERROR: Kind.CREDENTIALS,
    "UNSPECIFIED_ERROR": Kind.LATER,
}

# https://firebase.google.com/docs/cloud-messaging/scale-fcm: the least to wait when
# there is no Retry-After.
QUOTA_WAIT_S = 60.0
SERVER_ERROR_WAIT_S = 10.0
# "No more information is available": tried so often, then taken for a refusal.
UNSPECIFIED_TRIES = 5

BAD_TOKEN_WORDS = "registration token"  # noqa: S105 - words of an error message


def read(response: Response, *, attempts: int = 0) -> Outcome:
    """The outcome of a push that had been tried `attempts` times before."""
    status = response.status
    if status == 200:
        return ACCEPTED
    error = answers.member(answers.json_object(response.body), "error")
    code = _code(error)
    kind = KINDS.get(code)
    if status == 400 and code in ("INVALID_ARGUMENT", ""):
        return _invalid_argument(error, has_code=bool(code))
    if kind is None or not answers.is_word_of(status, kind):
        return _without_code(response, error)
    if code == "UNSPECIFIED_ERROR" and attempts + 1 >= UNSPECIFIED_TRIES:
        return Outcome(Kind.REFUSED, code)
    return _patient(Outcome(kind, code), response)


def _code(error: Mapping[str, Any]) -> str:
    """FCM's own error code, which not every error of Google's front carries."""
    for detail in answers.members(error, "details"):
        if detail.get("@type") == FCM_ERROR:
            return answers.word(detail, "errorCode")
    return ""


def _invalid_argument(error: Mapping[str, Any], *, has_code: bool) -> Outcome:
    """A bad token or a bad payload; only what is surely the token disables a device."""
    message = answers.word(error, "message")
    reason = f"INVALID_ARGUMENT: {message}" if message else "INVALID_ARGUMENT"
    fields = [
        answers.word(violation, "field")
        for detail in answers.members(error, "details")
        if detail.get("@type") == BAD_REQUEST
        for violation in answers.members(detail, "fieldViolations")
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
    reason = answers.word(error, "status") or f"status {response.status}"
    if message := answers.word(error, "message"):
        reason = f"{reason}: {message}"
    if response.status == 404:
        # No word of the device: the project in our service account is not there.
        return Outcome(Kind.CREDENTIALS, reason)
    return _patient(answers.by_status(response.status, reason), response)


def _patient(outcome: Outcome, response: Response) -> Outcome:
    if outcome.kind is not Kind.LATER:
        return outcome
    pause_s = answers.retry_after_s(response.headers, utc_now())
    least_s = QUOTA_WAIT_S if response.status == 429 else SERVER_ERROR_WAIT_S
    return outcome._replace(retry_after_s=pause_s or least_s)
