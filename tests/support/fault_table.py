"""Responses of the providers other than a plain success, and the expected outcomes."""

from typing import NamedTuple

# The Retry-After that the sandbox sends.
RETRY_AFTER_S = 30


class Row(NamedTuple):
    """A magic token and the outcome of its push."""

    token: str
    outcome: str
    reason: str
    # The least pause before another try; None means no other try.
    pause_s: float | None = None


def _answers(
    status: int, outcome: str, *reasons: str, pause_s: float | None = None
) -> list[Row]:
    return [
        Row(f"answer-{status}-{reason}", outcome, reason, pause_s) for reason in reasons
    ]


_NO_TOKEN = (
    "INVALID_ARGUMENT: The registration token is not a valid FCM registration token"
)

FINAL = {
    "apns": [
        *_answers(
            400,
            "refused",
            "BadCollapseId",
            "BadExpirationDate",
            "BadMessageId",
            "BadPriority",
            "DuplicateHeaders",
            "InvalidPushType",
            "PayloadEmpty",
        ),
        *_answers(
            400,
            "suspect",
            "BadDeviceToken",
            "DeviceTokenNotForTopic",
            "MissingDeviceToken",
        ),
        *_answers(404, "suspect", "BadPath"),
        *_answers(405, "refused", "MethodNotAllowed"),
        *_answers(413, "refused", "PayloadTooLarge"),
        Row("unregistered-new", "gone", "Unregistered"),
        # The token died a year ago, but the device was registered a minute ago.
        Row("unregistered-old", "suspect", "Unregistered"),
        Row("expired-token", "gone", "ExpiredToken"),
        Row("slow-body", "gone", "Unregistered"),
        Row("unknown-reason", "refused", "ReasonOfTomorrow"),
        Row("garbage-400", "refused", "status 400"),
    ],
    "fcm": [
        Row("unregistered", "gone", "UNREGISTERED"),
        Row("slow-body", "gone", "UNREGISTERED"),
        Row("bad-token", "gone", _NO_TOKEN),
        Row("sender-mismatch", "suspect", "SENDER_ID_MISMATCH"),
        Row(
            "invalid-payload",
            "refused",
            "INVALID_ARGUMENT: Invalid value at 'message.data[0].value': As asked for.",
        ),
        Row(
            "payload-too-large",
            "refused",
            "INVALID_ARGUMENT: Invalid value at 'message': Message is too big.",
        ),
        Row(
            "unknown-reason",
            "refused",
            "INVALID_ARGUMENT: A reason that came later.",
        ),
        Row("garbage-400", "refused", "INVALID_ARGUMENT"),
    ],
}

WAITING = {
    "apns": [
        *_answers(
            400,
            "credentials",
            "BadTopic",
            "MissingTopic",
            "TopicDisallowed",
            pause_s=60,
        ),
        *_answers(
            403,
            "credentials",
            "BadCertificate",
            "BadCertificateEnvironment",
            "BadEnvironmentKeyIdInToken",
            "BadEnvironmentKeyInToken",
            "ExpiredProviderToken",
            "Forbidden",
            "InvalidProviderToken",
            "MissingProviderToken",
            "UnrelatedKeyIdInToken",
            pause_s=60,
        ),
        Row("429", "later", "TooManyRequests", RETRY_AFTER_S),
        Row("quota-bare", "later", "TooManyRequests", 10),
        Row("too-many-updates", "later", "TooManyProviderTokenUpdates", 60),
        Row("503-after", "later", "ServiceUnavailable", RETRY_AFTER_S),
        Row("503-date", "later", "ServiceUnavailable", RETRY_AFTER_S),
    ],
    "fcm": [
        Row("third-party-auth", "credentials", "THIRD_PARTY_AUTH_ERROR", 3600),
        Row("429", "later", "QUOTA_EXCEEDED", RETRY_AFTER_S),
        Row(
            "quota-bare",
            "later",
            "RESOURCE_EXHAUSTED: Quota exceeded for this device.",
            60,
        ),
        Row("too-many-updates", "later", "QUOTA_EXCEEDED", 60),
        Row("500", "later", "INTERNAL", 10),
        Row("503", "later", "UNAVAILABLE", 10),
        Row("503-after", "later", "UNAVAILABLE", RETRY_AFTER_S),
        Row("503-date", "later", "UNAVAILABLE", RETRY_AFTER_S),
        *_answers(418, "later", "UNSPECIFIED_ERROR", pause_s=10),
        # FCM has no such code, so the reason is Google's status.
        Row("answer-502-BAD_GATEWAY", "later", "UNKNOWN: As asked for.", 10),
    ],
}

# Tokens whose pushes are accepted in the end, within a second or two.
ACCEPTED = {
    "apns": [
        "garbage",
        "slow",
        "wrong-environment",
        "once-500",
        "once-503",
        "once-shutdown",
        "once-answer-400-IdleTimeout",
    ],
    "fcm": ["garbage", "slow"],
}

# Broken connections, and whether the provider may have accepted the push before.
BROKEN = {
    "cut": True,
    "cut-after-headers": True,
    "lost-answer": True,
    "reset": False,
    "refused-stream": False,
    "goaway": False,
    "goaway-after": False,
}
