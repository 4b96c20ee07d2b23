"""A message as a service worker wants it: rendered once, completed per device."""

import json
from typing import NamedTuple

from models.base import utc_now
from models.pushes import Note, Target
from models.subscriptions import Subscription
from notifier.channels import identity
from notifier.channels.splice import Hole, clean, fit
from notifier.channels.webpush_encryption import MAX_PLAINTEXT, encrypt
from notifier.http2 import Request, literal

# Unread messages on the icon: room for so many digits is kept.
BADGE_DIGITS = 10
# Four weeks; push services shorten what is too long for them.
MAX_TTL_S = 2_419_200


class Rendered(NamedTuple):
    """What all pushes of a job have in common."""

    # The payload around the badge; a silent push has none and no second part.
    before: bytes
    after: bytes | None
    # The job's own header fields.
    fields: bytes

    def request(self, target: Target, subscription: Subscription) -> Request:
        """The push to one device: 0.1 ms, nearly all of it for the fresh key."""
        payload = self.before
        if self.after is not None:
            payload = b"%b%d%b" % (payload, target.badge, self.after)
        return Request(
            encrypt(payload, subscription), subscription.path.encode(), self.fields
        )


def render(note: Note) -> Rendered:
    """Raises ValueError when no push can be made of this note."""
    common = {
        "silent": note.silent,
        "data": {clean(k): clean(v) for k, v in note.data.items()},
        identity.KEY: identity.reference(note),
    }
    if note.silent:
        payload = _json(common)
        if len(payload) > MAX_PLAINTEXT:
            raise ValueError(f"the data of the message is over {MAX_PLAINTEXT} bytes")
        return Rendered(payload, None, _fields(note))
    badge = Hole()

    def with_text(text: str) -> bytes:
        shown = {
            "title": clean(note.sender_name),
            "chat": clean(note.chat_name),
            "body": text,
            "badge": badge.mark,
            "tag": identity.tag(note),
        }
        return _json(shown | common)

    # The mark and its quotes stand where the digits will.
    limit = MAX_PLAINTEXT + len(badge.mark) + 2 - BADGE_DIGITS
    before, after = badge.split(fit(with_text, clean(note.text), limit))
    return Rendered(before, after, _fields(note))


def _json(payload: dict[str, object]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _fields(note: Note) -> bytes:
    left_s = int((note.expires_at - utc_now()).total_seconds())
    ttl_s = min(max(left_s, 0), MAX_TTL_S)
    # RFC 8030 §5.3: "normal" is a chat message's, "low" wakes no idle phone.
    urgency = "low" if note.silent else "normal"
    return (
        literal("ttl", str(ttl_s))
        + literal("urgency", urgency)
        # A later try takes the place of the one that still waits for the browser.
        + literal("topic", identity.tag(note))
    )
