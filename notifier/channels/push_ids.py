"""The names a message has at the providers: every try and every device's agree."""

import hashlib

from models.pushes import MESSAGE, READ, Notification

# Under this key the app finds what a push is about.
KEY = "bottlepost"


def tag(notification: Notification) -> str:
    """What makes a phone replace an earlier notification by a later one.

    A message's withdrawal has the message's own tag; of the news that a conversation
    has been read, only the last is of interest.
    """
    if notification.kind == READ:
        return f"read-{notification.chat_id}"
    return f"message-{notification.message_id}"


def reference(notification: Notification) -> dict[str, int | str]:
    """Where the app finds the message, and what it is to do unless it is to show it."""
    place: dict[str, int | str] = {
        "conversation": notification.chat_id,
        "message": notification.message_id,
        "seq": notification.seq,
    }
    return (
        place if notification.kind == MESSAGE else {"kind": notification.kind, **place}
    )


def push_ids(notification: Notification) -> str:
    """All but the last 12 hexadecimal digits of the UUIDs of a note's pushes.

    The device's number makes the rest, so that one push has one id in every try. Like
    a version 8 UUID (RFC 9562), whose bits are the application's own.
    """
    digest = hashlib.sha256(
        f"{notification.kind} {notification.message_id}".encode()
    ).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-8{digest[15:18]}-"


def device_digits(device_id: int) -> bytes:
    """The last 12 digits of the UUID of the push to this device."""
    return b"%012x" % (device_id & 0xFFFF_FFFF_FFFF)
