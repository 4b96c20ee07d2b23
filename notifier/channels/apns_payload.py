"""A message as APNs wants it: rendered once, completed for each device."""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from models.pushes import Note, Target
from notifier.channels import identity
from notifier.channels.apns_library import (
    MAX_PAYLOAD_SIZE,
    NotificationPriority,
    NotificationType,
    Payload,
    PayloadAlert,
)
from notifier.channels.splice import Hole, clean, fit
from notifier.http2 import Request, literal

RESERVED_KEYS = frozenset({"aps", identity.KEY})
# Unread messages on the icon: room for so many digits is kept.
BADGE_DIGITS = 10

_is_plain = re.compile(r"[A-Za-z0-9._~-]+").fullmatch


class Rendered(NamedTuple):
    """What all pushes of a job have in common."""

    # The payload around the badge; a silent push has none and no second part.
    before: bytes
    after: bytes | None
    # The job's header fields and the beginning of each push's apns-id.
    fields: bytes
    push_type: str
    priority: str

    def request(self, target: Target) -> Request:
        """The push to one device; on the hot path."""
        body = self.before
        if self.after is not None:
            body = b"%b%d%b" % (body, target.badge, self.after)
        token = target.token if _is_plain(target.token) else quote(target.token, "")
        return Request(
            body,
            b"/3/device/" + token.encode(),
            self.fields + identity.device_digits(target.device_id),
        )


def render(note: Note) -> Rendered:
    """Raises ValueError when no push can be made of this note."""
    if reserved := RESERVED_KEYS & note.data.keys():
        raise ValueError(f"the data key {min(reserved)!r} is reserved with APNs")
    custom: dict[str, object] = {clean(k): clean(v) for k, v in note.data.items()}
    custom[identity.KEY] = identity.reference(note)
    if note.silent:
        # Apple refuses background pushes with an alert, a badge or a sound, and those
        # with a priority of 10.
        payload = _json(Payload(content_available=True, custom=custom).dict())
        if len(payload) > MAX_PAYLOAD_SIZE:
            raise ValueError("the data of the message is too long for a push")
        kind, priority = NotificationType.Background, NotificationPriority.Delayed
        before, after = payload, None
    else:
        before, after = _alert(note, custom)
        kind, priority = NotificationType.Alert, NotificationPriority.Immediate
    return Rendered(before, after, _fields(note), kind.value, priority.value)


def _alert(note: Note, custom: Mapping[str, object]) -> tuple[bytes, bytes]:
    badge = Hole()

    def with_text(text: str) -> bytes:
        alert = PayloadAlert(
            title=clean(note.sender_name),
            subtitle=clean(note.chat_name),
            body=text,
        )
        payload = Payload(
            alert=alert,
            badge=badge.mark,
            sound="default",
            custom=custom,
            thread_id=f"chat-{note.chat_id}",
        )
        return _json(payload.dict())

    # The mark and its quotes stand where the digits will.
    limit = MAX_PAYLOAD_SIZE + len(badge.mark) + 2 - BADGE_DIGITS
    return badge.split(fit(with_text, clean(note.text), limit))


def _json(payload: Mapping[str, object]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _fields(note: Note) -> bytes:
    """The job's own header fields, ending where the digits of the device go."""
    expires_at = max(int(note.expires_at.timestamp()), 0)
    # literal() does not compress, so a value's end can be exchanged for another one
    # of the same length.
    apns_id = literal("apns-id", identity.push_ids(note) + "0" * 12)[:-12]
    return (
        literal("apns-collapse-id", identity.tag(note))
        + literal("apns-expiration", str(expires_at))
        + apns_id
    )
