"""The header fields of a push to APNs, as its kind has set them."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from models.apns_push_types import LONGEST_COLLAPSE_ID, RAW_TYPES
from models.pushes import Notification
from notifier.channels import push_ids
from notifier.channels.header_text import is_header_text
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
        tag = push_ids.tag(notification)
        if not own:
            return cls(None, None, expiration, tag, "")
        push_type = own.get("push_type")
        priority = own.get("priority")
        return cls(
            push_type,
            None if priority is None else str(priority),
            own.get("expiration", expiration),
            _short(own.get("collapse_id") or tag),
            own.get("topic_suffix") or RAW_TYPES.get(push_type or "", ""),
        )


def _short(collapse_id: str) -> str:
    """The id, or a hash of one that Apple or HTTP would refuse."""
    if len(collapse_id) <= LONGEST_COLLAPSE_ID and is_header_text(collapse_id):
        return collapse_id
    return hashlib.sha256(collapse_id.encode("utf-8", "replace")).hexdigest()
