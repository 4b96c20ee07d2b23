"""What apps need to draw notifications of their own: who wrote it, and where.

An iPhone makes a communication notification of it, and Android one of MessagingStyle.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from models.pushes import MESSAGE, Notification
from notifier.channels.template import clean, fit

# What an app finds under its key `bottlepost`.
Reference = dict[str, Any]

AVATAR = "avatar"
# So much of the text is worth more than an avatar or a name: what lock screens show.
ENOUGH_TEXT = 200


def details(notification: Notification) -> Reference:
    """Sender and conversation; nothing if their names may not be shown."""
    if notification.kind != MESSAGE or not (
        notification.sender_id or notification.is_of_system
    ):
        return {}
    sender: Reference = {}
    if notification.sender_id:
        sender["id"] = notification.sender_id
    chat: Reference = {}
    for about, name, value in (
        (sender, "external_id", notification.sender_external_id),
        (sender, "name", notification.sender_name),
        (sender, AVATAR, notification.sender_avatar),
        (chat, "external_id", notification.chat_external_id),
        (chat, "name", notification.chat_name),
    ):
        if value:
            about[name] = clean(value)
    chat["group"] = notification.is_group
    found: Reference = {"sender": sender, "chat": chat} if sender else {"chat": chat}
    if notification.is_mentioned:
        found["mentioned"] = True
    return found


def without_avatar(reference: Reference) -> Reference:
    """The same without the picture, which is the longest part."""
    sender = reference["sender"]
    return {**reference, "sender": {k: v for k, v in sender.items() if k != AVATAR}}


def fit_about(
    render: Callable[[Reference, str], bytes],
    references: Sequence[Reference],
    text: str,
    limit: int,
) -> bytes:
    """`fit` with the first of the references that leaves room for some of the text.

    Raises ValueError when the document does not fit with the last one and no text.
    """
    document = render(references[0], text)
    if len(document) <= limit:
        return document
    for reference in references:
        if len(render(reference, text[:ENOUGH_TEXT])) <= limit:
            return fit(partial(render, reference), text, limit)
    return fit(partial(render, references[-1]), text, limit)
