"""The header fields of a push to APNs, as its kind has set them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from models.apns_push_types import RAW_TYPES
from models.pushes import Notification
from notifier.channels import push_ids
from notifier.channels.ttl import expires_at_s


class Headers(NamedTuple):
    """What is not said is None."""

    push_type: str | None
    priority: str | None
    # Epoch seconds; 0: Apple tries once.
    expiration: int
    collapse_id: str
    topic_suffix: str

    @classmethod
    def read(cls, own: Mapping[str, Any], notification: Notification) -> "Headers":
        """The kind's own headers, completed from the notification."""
        expiration = expires_at_s(notification)
        if not own:
            return cls(None, None, expiration, push_ids.tag(notification), "")
        push_type = own.get("push_type")
        priority = own.get("priority")
        return cls(
            push_type,
            None if priority is None else str(priority),
            own.get("expiration", expiration),
            push_ids.collapse_id(own.get("collapse_id"), notification),
            own.get("topic_suffix") or RAW_TYPES.get(push_type or "", ""),
        )
