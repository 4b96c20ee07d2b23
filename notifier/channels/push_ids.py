"""The ids of a message at the providers: the same for every device and every try."""

import hashlib
from base64 import urlsafe_b64encode

from models.apns_push_types import LONGEST_COLLAPSE_ID
from models.pushes import MESSAGE, READ, Notification
from notifier.channels import about
from notifier.channels.about import Reference
from notifier.channels.header_text import is_header_text

# The app finds the reference to the message under this key.
KEY = "bottlepost"


def tag(notification: Notification) -> str:
    """The tag by which a phone replaces an earlier notification with a later one.

    A withdrawal has the tag of its message. All read marks of a conversation share one
    tag, because only the last one counts.
    """
    if notification.kind == READ:
        return f"read-{notification.chat_id}"
    return f"message-{notification.message_id}"


def collapse_id(own: str | None, notification: Notification) -> str:
    """The id that the kind has set, or the tag; a hash of one that Apple refuses."""
    wanted = own or tag(notification)
    if len(wanted) <= LONGEST_COLLAPSE_ID and is_header_text(wanted):
        return wanted
    return hashlib.sha256(wanted.encode("utf-8", "replace")).hexdigest()


def thread(notification: Notification) -> str:
    """What all notifications of a conversation have in common."""
    return f"chat-{notification.chat_id}"


def topic(notification: Notification) -> str:
    """The tag as a web push topic (RFC 8030 §5.4), by which a later try replaces it.

    Apple decodes topics as base64url, so not every length is taken; 32 always is.
    """
    digest = hashlib.sha256(tag(notification).encode()).digest()
    return urlsafe_b64encode(digest[:24]).decode()


def references(notification: Notification) -> list[Reference]:
    """Where the app finds the message, and who wrote it.

    Then come shorter ones, for a message that leaves no room for all of it. A push that
    shows no message has its kind in place of the writer.
    """
    place = _place(notification)
    details = about.details(notification)
    if not details:
        return [place]
    full = {**place, **details}
    if not notification.sender_avatar:
        return [full, place]
    return [full, about.without_avatar(full), place]


def _place(notification: Notification) -> Reference:
    place: Reference = {
        "conversation": notification.chat_id,
        "message": notification.message_id,
        "seq": notification.seq,
    }
    return (
        place if notification.kind == MESSAGE else {"kind": notification.kind, **place}
    )


def uuid_prefix(notification: Notification) -> str:
    """All but the last 12 hexadecimal digits of a push's UUID.

    The device's id makes the rest, so that a push has the same UUID in every try. Its
    form is version 8 (RFC 9562), whose bits the application chooses.
    """
    digest = hashlib.sha256(
        f"{notification.kind} {notification.message_id}".encode()
    ).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-8{digest[15:18]}-"


def uuid_suffix(device_id: int) -> bytes:
    """The last 12 digits of the push's UUID: the device's id."""
    # Formatting with %x takes half as long again.
    return (device_id & 0xFFFF_FFFF_FFFF).to_bytes(6).hex().encode()
