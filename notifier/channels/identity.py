"""The names a message has at the providers: every try and every device's agree."""

import hashlib

from models.pushes import Note

# Under this key the app finds which message a push is about.
KEY = "bottlepost"


def tag(note: Note) -> str:
    """What makes a phone replace an earlier notification of the same message."""
    return f"message-{note.message_id}"


def reference(note: Note) -> dict[str, int]:
    """Where the app finds the message."""
    return {
        "conversation": note.chat_id,
        "message": note.message_id,
        "seq": note.seq,
    }


def push_ids(note: Note) -> str:
    """All but the last 12 hexadecimal digits of the message's UUIDs.

    The device's number makes the rest, so that one push has one id in every try. Like
    a version 8 UUID (RFC 9562), whose bits are the application's own.
    """
    digest = hashlib.sha256(b"bottlepost message %d" % note.message_id).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-8{digest[15:18]}-"


def device_digits(device_id: int) -> bytes:
    """The last 12 digits of the UUID of the push to this device."""
    return b"%012x" % (device_id & 0xFFFF_FFFF_FFFF)
