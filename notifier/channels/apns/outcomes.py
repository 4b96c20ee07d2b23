"""APNs' statuses and reasons, as outcomes of a push.

https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from models.base import utc_now
from notifier.channels import responses
from notifier.http2 import Response
from notifier.outcome import ACCEPTED, Kind, Outcome

BAD_DEVICE_TOKEN = "BadDeviceToken"  # noqa: S105 - a reason, not a secret
EXPIRED_PROVIDER_TOKEN = "ExpiredProviderToken"  # noqa: S105
TOO_MANY_TOKENS = "TooManyProviderTokenUpdates"

KINDS = {
    # 400
    "BadCollapseId": Kind.REFUSED,
    BAD_DEVICE_TOKEN: Kind.SUSPECT,
    "BadExpirationDate": Kind.REFUSED,
    "BadMessageId": Kind.REFUSED,
    "BadPriority": Kind.REFUSED,
    "BadTopic": Kind.CREDENTIALS,
    "DeviceTokenNotForTopic": Kind.SUSPECT,
    "DuplicateHeaders": Kind.REFUSED,
    "IdleTimeout": Kind.LATER,
    "InvalidPushType": Kind.REFUSED,
    "MissingDeviceToken": Kind.SUSPECT,
    "MissingTopic": Kind.CREDENTIALS,
    "PayloadEmpty": Kind.REFUSED,
    "TopicDisallowed": Kind.CREDENTIALS,
    # 403
    "BadCertificate": Kind.CREDENTIALS,
    "BadCertificateEnvironment": Kind.CREDENTIALS,
    # The documentation says KeyIdInToken; the servers have been seen to say KeyIn.
    "BadEnvironmentKeyIdInToken": Kind.CREDENTIALS,
    "BadEnvironmentKeyInToken": Kind.CREDENTIALS,
    EXPIRED_PROVIDER_TOKEN: Kind.CREDENTIALS,
    "Forbidden": Kind.CREDENTIALS,
    "InvalidProviderToken": Kind.CREDENTIALS,
    "MissingProviderToken": Kind.CREDENTIALS,
    "UnrelatedKeyIdInToken": Kind.CREDENTIALS,
    # 404, 405: the device's token is the only part of the path that we do not choose.
    "BadPath": Kind.SUSPECT,
    "MethodNotAllowed": Kind.REFUSED,
    # 410
    "ExpiredToken": Kind.GONE,
    "Unregistered": Kind.GONE,
    # 413
    "PayloadTooLarge": Kind.REFUSED,
    # 429
    TOO_MANY_TOKENS: Kind.LATER,
    "TooManyRequests": Kind.LATER,
    # 500, 503
    "InternalServerError": Kind.LATER,
    "ServiceUnavailable": Kind.LATER,
    "Shutdown": Kind.LATER,
}

# The pause without a Retry-After: for a new provider token, and for one device.
MIN_WAITS_S = {TOO_MANY_TOKENS: 60.0, "TooManyRequests": 10.0}
# When the device named its app, these are about the device's registration and not
# about our settings.
ABOUT_THE_APP = frozenset({"BadTopic", "MissingTopic", "TopicDisallowed"})


def read(response: Response, *, own_app: bool = False) -> Outcome:
    """The outcome of a push; with `own_app` the topic came with the device."""
    if response.status == 200:
        return ACCEPTED
    body = responses.json_object(response.body)
    reason = responses.string(body, "reason")
    kind = KINDS.get(reason)
    is_gone = response.status == 410 and not responses.is_page(response)
    if is_gone and kind in (None, Kind.GONE):
        # The status alone says that the token is dead for this topic.
        return Outcome(Kind.GONE, reason or "status 410", gone_since=_since(body))
    if kind is None or not responses.is_plausible(response.status, kind):
        outcome = responses.by_status(response, reason)
    elif own_app and reason in ABOUT_THE_APP:
        outcome = Outcome(Kind.SUSPECT, reason)
    else:
        outcome = Outcome(kind, reason)
    if outcome.kind is not Kind.LATER:
        return outcome
    pause_s = responses.retry_after_s(response.headers, utc_now())
    return outcome._replace(retry_after_s=pause_s or MIN_WAITS_S.get(reason))


def is_route_rate_limit(response: Response, outcome: Outcome) -> bool:
    """Whether our team has to wait; TooManyRequests concerns one device only."""
    return response.status == 429 and outcome.reason == TOO_MANY_TOKENS


def _since(body: Mapping[str, Any]) -> datetime | None:
    """When APNs last found the token dead; it counts in milliseconds."""
    milliseconds = body.get("timestamp")
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
