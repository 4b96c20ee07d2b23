"""How much of a message its push gives away, for chats that are nobody's business."""

from dataclasses import replace

from config import PREVIEW_FULL, PREVIEW_SENDER
from models.pushes import Notification

# What stands in for the message; the app fetches the real one.
STAND_IN = "New message"


def redact(notification: Notification, preview: str) -> Notification:
    """The note with as much as the setting lets providers and lock screens see."""
    if preview == PREVIEW_FULL:
        return notification
    notification = replace(notification, text=STAND_IN, data={})
    if preview == PREVIEW_SENDER:
        return notification
    return replace(notification, sender_name=STAND_IN, chat_name="", text="")
