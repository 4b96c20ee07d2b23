"""How long a provider may keep a push for a device that is offline."""

from models.base import utc_now
from models.pushes import Notification

# Four weeks: FCM's limit; web push services shorten what is too long for them.
MAX_TTL_S = 2_419_200


def expires_at_s(notification: Notification) -> int:
    """When the message expires, in epoch seconds; 0 lets Apple try once."""
    return max(int(notification.expires_at.timestamp()), 0)


def ttl_s(notification: Notification) -> int:
    """Whole seconds until the message expires, within the providers' limits."""
    left_s = int((notification.expires_at - utc_now()).total_seconds())
    return min(max(left_s, 0), MAX_TTL_S)
