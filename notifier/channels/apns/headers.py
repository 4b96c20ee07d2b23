"""The header fields of a push to APNs, as its kind has set them."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from models.pushes import Notification
from notifier.channels import push_ids
from notifier.channels.aps import RAW_TYPES
from notifier.channels.header_text import is_header_text

LONGEST_COLLAPSE_ID = 64


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
        push_type = own.get("push_type")
        priority = own.get("priority")
        expiration = own.get("expiration")
        if expiration is None:
            expiration = max(int(notification.expires_at.timestamp()), 0)
        collapse_id = own.get("collapse_id") or push_ids.tag(notification)
        suffix = own.get("topic_suffix")
        if suffix is None:
            suffix = RAW_TYPES.get(push_type or "", "")
        return cls(
            push_type,
            None if priority is None else str(priority),
            int(expiration),
            _short(collapse_id),
            suffix,
        )


def _short(collapse_id: str) -> str:
    """The id, or a hash of one that Apple or HTTP would refuse."""
    if len(collapse_id) <= LONGEST_COLLAPSE_ID and is_header_text(collapse_id):
        return collapse_id
    return hashlib.sha256(collapse_id.encode("utf-8", "replace")).hexdigest()
