"""How long a provider may keep a push for a device that is offline."""

from models.base import utc_now
from models.pushes import Notification

# Four weeks: FCM's limit; web push services shorten what is too long for them.
MAX_TTL_S = 2_419_200


def ttl_s(notification: Notification) -> int:
    """Whole seconds until the message expires, within the providers' limits."""
    left_s = int((notification.expires_at - utc_now()).total_seconds())
    return min(max(left_s, 0), MAX_TTL_S)
