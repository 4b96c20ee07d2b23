"""One push that has arrived, and its JSON."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

APNS_HEADERS = (
    "apns-topic",
    "apns-push-type",
    "apns-priority",
    "apns-expiration",
    "content-type",
    "user-agent",
)
FCM_HEADERS = ("content-type", "user-agent")
WEBPUSH_HEADERS = (
    "ttl",
    "urgency",
    "content-encoding",
    "content-type",
    "x-wns-cache-policy",
    "user-agent",
)
HEADERS = {"apns": APNS_HEADERS, "fcm": FCM_HEADERS, "webpush": WEBPUSH_HEADERS}


class Push(NamedTuple):
    """One push; equal headers and bodies are shared objects, to save memory."""

    seq: int
    arrived_at: float
    provider: str
    environment: str
    token: str
    # The apns-id, FCM's name of the message, or the end of a web push's Location.
    message_id: str
    # The notification replaces an earlier one with this id: the
    # collapse id, the tag on Android, or the topic of a web push.
    collapse_id: str | None
    headers: tuple[str | None, ...]
    body: bytes
    status: int | None = 200
    reason: str | None = None
    # Of a push through FCM: whether Google hands it on to Apple.
    is_iphone: bool = False

    @property
    def device(self) -> str:
        """What shows it: an iPhone may be registered with FCM, too."""
        if self.provider == "fcm":
            return "iphone" if self.is_iphone else "android"
        return "iphone" if self.provider == "apns" else "browser"

    def as_json(self) -> dict[str, Any]:
        pairs = zip(HEADERS[self.provider], self.headers, strict=False)
        headers = {name: value for name, value in pairs if value is not None}
        payload = decoded(self.body)
        if self.provider == "apns":
            headers["apns-id"] = self.message_id
            if self.collapse_id is not None:
                headers["apns-collapse-id"] = self.collapse_id
        elif self.provider == "webpush":
            if self.collapse_id is not None:
                headers["topic"] = self.collapse_id
        elif isinstance(payload, dict):
            payload = payload.get("message", payload)
        return {
            "seq": self.seq,
            "id": self.message_id,
            "token": self.token,
            "platform": self.provider,
            "device": self.device,
            "environment": self.environment,
            "arrived_at": rfc3339(self.arrived_at),
            "headers": headers,
            "payload": payload,
        }


def decoded(body: bytes) -> Any:
    """The JSON of a body, or its text if it is not JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def rfc3339(moment: float) -> str:
    """A time in UTC, as RFC 3339 writes it."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")
