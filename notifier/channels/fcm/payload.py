"""The payload for FCM: rendered once, completed for each device."""

from collections.abc import Sequence
from typing import NamedTuple

from pyfcm import FCMNotification

from models.fcm_tokens import FID_LENGTH, is_fid
from models.pushes import Notification, Target
from notifier.channels import push_ids
from notifier.channels.about import Reference, fit_about
from notifier.channels.fcm.content import content, text_of
from notifier.channels.template import Placeholder, json_string
from notifier.http2 import Request

MAX_PAYLOAD_SIZE = 4096
# No document says whether the token counts, so space is reserved for it and the badge.
TOKEN_ROOM = 300
RESERVED_KEYS = frozenset({"from", "message_type", push_ids.KEY})
RESERVED_BEGINNINGS = ("google", "gcm")


class FcmPayload(NamedTuple):
    """The message around the badges and the token of a device."""

    # The beginning, around the badge, up to the name of the token.
    pieces: tuple[bytes, ...]
    after: bytes

    def request(self, target: Target) -> Request:
        """The push to one device."""
        return self.requests([target])[0]

    def requests(self, targets: Sequence[Target]) -> list[Request]:
        """The pushes to these devices; on the hot path."""
        pieces, after = self
        starts: dict[int, bytes] = {}
        found: list[Request] = []
        for target in targets:
            badge, token = target.badge, target.token
            start = starts.get(badge)
            if start is None:
                start = starts[badge] = (b"%d" % badge).join(pieces)
            # Nearly all are longer, and lengths are compared faster.
            has_fid = len(token) == FID_LENGTH and is_fid(token)
            name = b'"fid":' if has_fid else b'"token":'
            body = b"%b%b%b%b" % (start, name, json_string(token).encode(), after)
            found.append(Request(body))
        return found


class Renderer:
    """Renders with pyfcm; the rest of pyfcm, such as its sessions, is not used."""

    def __init__(self, credentials_file: str, project_id: str) -> None:
        # pyfcm reads the file only when it sends, which it never does here.
        self._pyfcm = FCMNotification(
            service_account_file=credentials_file, project_id=project_id
        )

    def render(self, notification: Notification) -> FcmPayload:
        """Raises ValueError when the notification does not fit into a push."""
        _check_keys(notification)
        badge, token = Placeholder(), Placeholder()

        def render(reference: Reference, text: str) -> bytes:
            arguments = content(notification, reference, badge, text)
            document: bytes = self._pyfcm.parse_payload(
                fcm_token=token.mark, **arguments
            )
            return document

        text = text_of(notification)
        references = push_ids.references(notification)
        marks = 1
        if notification.shown is not None:
            # iPhones have the badge in another place than Android.
            marks = render(references[-1], "").count(badge.mark.encode())
        room = len(token.mark) + marks * len(badge.mark)
        limit = MAX_PAYLOAD_SIZE - TOKEN_ROOM + room
        document = fit_about(render, references, text, limit)
        # pyfcm sorts the keys, so every badge is found before the token.
        start, after = token.split(document)
        start = start.removesuffix(b'"token":')
        return FcmPayload(badge.pieces(start), after)


def _check_keys(notification: Notification) -> None:
    for key in notification.data:
        if key in RESERVED_KEYS or key.startswith(RESERVED_BEGINNINGS):
            raise ValueError(f"the data key {key!r} is reserved with FCM")
