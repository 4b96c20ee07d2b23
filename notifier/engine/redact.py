"""Hides as much of a message from its push as `BOTTLEPOST_PUSH_PREVIEW` asks for."""

from dataclasses import replace

from config import PREVIEW_FULL, PREVIEW_SENDER
from models.pushes import Notification
from notifier.channels.catalogue import BuiltIn

# Shown instead of the message, in the device's language; the app fetches the real one.
STAND_IN = BuiltIn("new_message")


def redact(notification: Notification, preview: str) -> Notification:
    """The notification with only what providers and lock screens may see."""
    if preview == PREVIEW_FULL:
        return notification
    notification = replace(notification, text=STAND_IN, data={})
    if preview == PREVIEW_SENDER:
        return notification
    return replace(notification, sender_name=STAND_IN, chat_name="", text="")
