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

# So much of the text is worth more than an avatar or a name: what lock screens show.
ENOUGH_TEXT = 200


def details(notification: Notification, *, with_avatar: bool = True) -> Reference:
    """Sender and conversation; nothing if their names may not be shown."""
    if notification.kind != MESSAGE or not notification.sender_id:
        return {}
    avatar = notification.sender_avatar if with_avatar else None
    sender = _without_gaps(
        id=notification.sender_id,
        external_id=notification.sender_external_id,
        name=notification.sender_name,
        avatar=avatar,
    )
    chat = _without_gaps(
        external_id=notification.chat_external_id, name=notification.chat_name
    )
    found = {"sender": sender, "chat": {**chat, "group": notification.is_group}}
    return {**found, "mentioned": True} if notification.is_mentioned else found


def _without_gaps(**values: str | int | None) -> Reference:
    return {
        name: clean(value) if isinstance(value, str) else value
        for name, value in values.items()
        if value
    }


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
