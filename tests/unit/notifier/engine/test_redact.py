"""A push shows no more of a message than the setting allows."""

from models.base import utc_now
from models.pushes import Notification
from notifier.engine import redact

NOTE = Notification(
    job_id=1,
    message_id=2,
    chat_id=3,
    chat_name="Divorce",
    seq=4,
    sender_name="Ada",
    text="the secret",
    data={"link": "app://secret"},
    created_at=utc_now(),
    expires_at=utc_now(),
)


def test_a_full_preview_changes_nothing() -> None:
    assert redact.redact(NOTE, "full") is NOTE


def test_a_sender_preview_shows_who_but_not_what() -> None:
    hidden = redact.redact(NOTE, "sender")

    assert hidden.sender_name == "Ada"
    assert "secret" not in repr(hidden)


def test_no_preview_shows_only_that_there_is_a_message() -> None:
    hidden = redact.redact(NOTE, "none")

    for word in ("Ada", "Divorce", "secret"):
        assert word not in repr(hidden)
    assert (hidden.chat_id, hidden.seq) == (3, 4)
