"""Google's errors, in the form of google.rpc.Status."""

import json
from typing import Any

from sandbox.faults import Fault
from sandbox.wire.exchange import Headers

RPC = "type.googleapis.com/google.rpc"
FCM = "type.googleapis.com/google.firebase.fcm.v1"
UNKNOWN_TO_FCM = "The registration token is not a valid FCM registration token"
CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class FcmRefusal(Exception):
    """Google refuses the message, with this error."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str = "",
        details: tuple[dict[str, Any], ...] = (),
        headers: Headers = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers

    def body(self) -> bytes:
        error: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "status": CODES.get(self.status, "UNKNOWN"),
        }
        if self.details:
            error["details"] = list(self.details)
        return json.dumps({"error": error}, indent=2).encode()


def fcm_error(code: str) -> dict[str, Any]:
    """The error detail with FCM's own code."""
    return {"@type": f"{FCM}.FcmError", "errorCode": code}


def bad_field(field: str, problem: str) -> FcmRefusal:
    """An error about a field of the message, not about its token."""
    violation = {"field": field, "description": problem}
    details = ({"@type": f"{RPC}.BadRequest", "fieldViolations": [violation]},)
    text = f"Invalid value at '{field}': {problem}"
    return FcmRefusal(400, "INVALID_ARGUMENT", text, details)


def bad_token() -> FcmRefusal:
    """The token is not a registration token."""
    violation = {"field": "message.token", "description": UNKNOWN_TO_FCM}
    details = (
        fcm_error("INVALID_ARGUMENT"),
        {"@type": f"{RPC}.BadRequest", "fieldViolations": [violation]},
    )
    return FcmRefusal(400, "INVALID_ARGUMENT", UNKNOWN_TO_FCM, details)


def unregistered() -> FcmRefusal:
    """The installation is gone, or its id is malformed."""
    status, code, text = _GONE
    return FcmRefusal(status, code, text, (fcm_error(code),))


def not_found(text: str) -> FcmRefusal:
    """The path does not exist."""
    return FcmRefusal(404, "NOT_FOUND", text)


def unauthenticated(reason: str) -> FcmRefusal:
    """The access token is missing, wrong or no longer valid."""
    detail = {
        "@type": f"{RPC}.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "fcm.googleapis.com"},
    }
    text = (
        "Request had invalid authentication credentials. "
        "Expected OAuth 2 access token, login cookie or other valid credential."
    )
    challenge = (("www-authenticate", 'Bearer realm="https://accounts.google.com/"'),)
    return FcmRefusal(401, "UNAUTHENTICATED", text, (detail,), challenge)


def foreign_project(project: str) -> FcmRefusal:
    """The service account may not send for that project."""
    text = f"Permission 'cloudmessaging.messages.create' denied on '{project}'"
    return FcmRefusal(403, "PERMISSION_DENIED", text)


def for_fault(fault: Fault, more: Headers) -> FcmRefusal:
    """The error that a fault causes."""
    if fault.name == "answer":
        code = fault.reason or CODES.get(fault.status, "UNSPECIFIED_ERROR")
        return FcmRefusal(fault.status, code, "As asked for.", (fcm_error(code),))
    if fault.name == "invalid-payload":
        return bad_field("message.data[0].value", "As asked for.")
    if fault.name in ("bad-token", "wrong-environment"):
        return bad_token()
    if fault.name == "payload-too-large":
        return bad_field("message", "Message is too big.")
    status, code, text = ERRORS[fault.name]
    if fault.name == "quota-bare":
        violation = {"subject": "device", "description": text}
        quota = {"@type": f"{RPC}.QuotaFailure", "violations": [violation]}
        return FcmRefusal(status, code, text, (quota,))
    return FcmRefusal(status, code, text, (fcm_error(code),), more)


_GONE = (404, "UNREGISTERED", "Requested entity was not found.")
_QUOTA = (429, "QUOTA_EXCEEDED", "Quota exceeded for this device.")
_DOWN = (503, "UNAVAILABLE", "The service is currently unavailable.")
_FOREIGN = (403, "SENDER_ID_MISMATCH", "SenderId mismatch")
_PARTY = (401, "THIRD_PARTY_AUTH_ERROR", "Auth error from APNS or Web Push Service")
ERRORS = {
    "429": _QUOTA,
    "500": (500, "INTERNAL", "Internal error encountered."),
    "503": _DOWN,
    "503-after": _DOWN,
    "503-date": _DOWN,
    "bad-environment-key": _PARTY,
    "expired-token": _GONE,
    "flaky": _DOWN,
    "no-subscriber": _DOWN,
    "not-for-topic": _FOREIGN,
    "quota": _QUOTA,
    "quota-bare": _QUOTA,
    "sender-mismatch": _FOREIGN,
    "shutdown": _DOWN,
    "slow-body": _GONE,
    "third-party-auth": _PARTY,
    "throttled": _QUOTA,
    "too-many": _QUOTA,
    "too-many-updates": _QUOTA,
    "topic-disallowed": _FOREIGN,
    "unknown-reason": (400, "REASON_OF_TOMORROW", "A reason that came later."),
    "unregistered": _GONE,
    "unregistered-new": _GONE,
    "unregistered-old": _GONE,
}
