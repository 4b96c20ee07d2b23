"""The part of apns2 that we use: payloads, and Apple's reasons in words.

Only the modules `payload` and `errors` are imported, because they import nothing else.
`apns2.client` imports hyper, which on Python 3.12 and later needs pyOpenSSL and
service_identity, and on 3.11 costs 50 ms and 1.3 MiB. Its names are repeated here.
"""

from enum import StrEnum

from apns2.errors import exception_class_for_reason
from apns2.payload import MAX_PAYLOAD_SIZE, Payload, PayloadAlert

__all__ = [
    "MAX_PAYLOAD_SIZE",
    "NotificationPriority",
    "NotificationType",
    "Payload",
    "PayloadAlert",
    "explain",
]


class NotificationType(StrEnum):
    """The values of `apns-push-type` that we send."""

    Alert = "alert"
    Background = "background"


class NotificationPriority(StrEnum):
    """The values of `apns-priority` that we send."""

    Immediate = "10"
    Delayed = "5"


def explain(reason: str) -> str:
    """The reason from APNs, followed by apns2's sentence on it if it has one."""
    try:
        words = exception_class_for_reason(reason).__doc__ or ""
    except KeyError:
        # apns2 is older than some reasons: ExpiredToken, InvalidPushType …
        return reason
    sentence = words.strip().split("\n")[0].rstrip(".")
    return f"{reason} ({sentence})" if sentence else reason
