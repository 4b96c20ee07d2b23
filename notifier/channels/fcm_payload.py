"""A message as FCM wants it: rendered once, completed for each device."""

import json
from typing import NamedTuple

from pyfcm import FCMNotification

from models.base import utc_now
from models.pushes import Note, Target
from notifier.channels import identity
from notifier.channels.splice import Hole, clean, fit, json_string
from notifier.http2 import Request

MAX_PAYLOAD_SIZE = 4096
# Whether the token counts is not said anywhere; they have had up to some 200 bytes.
TOKEN_ROOM = 256
MAX_TTL_S = 2_419_200
RESERVED_KEYS = frozenset({"from", "message_type", identity.KEY})
RESERVED_BEGINNINGS = ("google", "gcm")


class Rendered(NamedTuple):
    """The message around the badge and the token of a device."""

    before: bytes
    # What stands between badge and token; a silent message has no badge.
    between: bytes | None
    after: bytes

    def request(self, target: Target) -> Request:
        """The push to one device; on the hot path."""
        token = json_string(target.token).encode()
        if self.between is None:
            return Request(b"%b%b%b" % (self.before, token, self.after))
        return Request(
            b"%b%d%b%b%b" % (self.before, target.badge, self.between, token, self.after)
        )


class Renderer:
    """pyfcm's payloads; of pyfcm nothing else runs, least of all its sessions."""

    def __init__(self, credentials_file: str, project_id: str) -> None:
        # It reads the file only when it is to send by itself, which it never is.
        self._pyfcm = FCMNotification(
            service_account_file=credentials_file, project_id=project_id
        )

    def render(self, note: Note) -> Rendered:
        """Raises ValueError when no push can be made of this note."""
        data = _data(note)
        token, badge = Hole(), Hole()
        limit = MAX_PAYLOAD_SIZE - TOKEN_ROOM + 2 * (len(token.mark) + 2)

        def with_text(text: str) -> bytes:
            shown = {} if note.silent else _shown(note, text)
            document: bytes = self._pyfcm.parse_payload(
                fcm_token=token.mark,
                data_payload=data,
                android_config=_android(note, badge),
                **shown,
            )
            return document

        text = "" if note.silent else clean(note.text)
        document = fit(with_text, text, limit)
        before, after = token.split(document)
        if note.silent:
            return Rendered(before, None, after)
        before, between = badge.split(before)
        return Rendered(before, between, after)


def _shown(note: Note, text: str) -> dict[str, str]:
    return {
        "notification_title": clean(note.sender_name),
        "notification_body": text,
    }


def _data(note: Note) -> dict[str, str]:
    for key in note.data:
        if key in RESERVED_KEYS or key.startswith(RESERVED_BEGINNINGS):
            raise ValueError(f"the data key {key!r} is reserved with FCM")
    data = {clean(k): clean(v) for k, v in note.data.items()}
    # FCM takes strings only.
    data[identity.KEY] = json.dumps(identity.reference(note), separators=(",", ":"))
    return data


def _android(note: Note, badge: Hole) -> dict[str, object]:
    """No collapse_key: notifications ignore it, and of silent messages a phone that is
    away would get no more than four. What replaces an earlier try is the tag.
    """
    left_s = int((note.expires_at - utc_now()).total_seconds())
    ttl = f"{min(max(left_s, 0), MAX_TTL_S)}s"
    if note.silent:
        return {"priority": "normal", "ttl": ttl}
    notification = {"tag": identity.tag(note), "notification_count": badge.mark}
    return {"priority": "high", "ttl": ttl, "notification": notification}
