"""Hides as much of a message from its push as `BOTTLEPOST_PUSH_PREVIEW` asks for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from config import PREVIEW_FULL, PREVIEW_SENDER
from models.kinds import patterns
from models.pushes import Notification
from notifier.channels.catalogue import BuiltIn

# Shown instead of the message, in the device's language; the app fetches the real one.
STAND_IN = BuiltIn("new_message")


# Fields that hold words, in the blocks of all platforms.
TEXTS = frozenset(
    {
        "actions",
        "alert",
        "body",
        "body_loc_args",
        "body_loc_key",
        "email",
        "patterns",
        "ticker",
        "title",
        "title_loc_args",
        "title_loc_key",
    }
)


def redact(notification: Notification, preview: str) -> Notification:
    """The notification with only what providers and lock screens may see."""
    if preview == PREVIEW_FULL:
        return notification
    # What the service sets for a single message says something about that message.
    notification = replace(notification, text=STAND_IN, data={}, changes=None)
    if preview == PREVIEW_SENDER:
        return notification
    of_mention = notification.mention_definition
    return replace(
        notification,
        sender_name=STAND_IN,
        chat_name="",
        text="",
        sender_id=0,
        sender_external_id=None,
        sender_avatar=None,
        chat_external_id=None,
        is_group=False,
        members=None,
        definition=_constants(notification.definition),
        mention_definition=_constants(of_mention),
        # Without its own look, a mention would not be told apart from other messages.
        mentions=frozenset() if of_mention is None else notification.mentions,
    )


def _constants(block: Any) -> Any:
    """The block without texts, and without the fields that have placeholders."""
    if not isinstance(block, Mapping):
        return block
    return {
        name: _constants(value)
        for name, value in block.items()
        if name not in TEXTS
        and not (isinstance(value, str | list) and patterns.placeholders(value))
    }
