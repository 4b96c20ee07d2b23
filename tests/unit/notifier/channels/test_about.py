"""What a push tells an app about the sender and the conversation."""

import json
from typing import Any

import pytest

from models.pushes import READ, WITHDRAW, Notification
from notifier.channels import push_ids
from notifier.channels.about import ENOUGH_TEXT, Reference, fit_about
from notifier.channels.template import json_bytes
from tests.support.notifications import make_notification

PLACE = {"conversation": 3, "message": 7, "seq": 5}
WHOLE = {
    "sender_id": 9,
    "sender_external_id": "ada-1",
    "sender_avatar": "https://example.org/a.png",
    "chat_external_id": "harbour",
    "is_group": True,
}
SENDER = {
    "id": 9,
    "external_id": "ada-1",
    "name": "Ada",
    "avatar": "https://example.org/a.png",
}


def first_reference(notification: Notification) -> Reference:
    return push_ids.references(notification)[0]


def test_an_app_learns_who_wrote_it_and_where() -> None:
    reference = first_reference(make_notification(**WHOLE))

    assert reference == PLACE | {
        "sender": SENDER,
        "chat": {"external_id": "harbour", "name": "Harbour", "group": True},
    }


def test_whom_a_message_mentions_learns_it() -> None:
    reference = first_reference(make_notification(**WHOLE, is_mentioned=True))

    assert reference["mentioned"] is True


def test_what_is_not_there_is_left_out() -> None:
    reference = first_reference(make_notification(sender_id=9, chat_name=""))

    assert reference == PLACE | {
        "sender": {"id": 9, "name": "Ada"},
        "chat": {"group": False},
    }


@pytest.mark.parametrize("changes", [{"sender_id": 0}, {"kind": READ}])
def test_nobody_is_named_without_a_sender_or_a_message(changes: dict[str, Any]) -> None:
    reference = first_reference(make_notification(**WHOLE | changes))

    assert reference.keys() <= {*PLACE, "kind"}


def test_a_withdrawal_is_as_short_as_ever() -> None:
    reference = first_reference(make_notification(**WHOLE, kind=WITHDRAW))

    assert reference == {"kind": "withdraw", **PLACE}


def document(reference: Reference, text: str) -> bytes:
    return json_bytes({"r": reference, "t": text})


@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_some_of_the_text_is_worth_more_than_an_avatar_or_a_name(chosen: int) -> None:
    references = push_ids.references(make_notification(**WHOLE))
    limit = len(document(references[chosen], "t" * ENOUGH_TEXT))

    found = fit_about(document, references, "t" * 2000, limit)

    assert len(found) <= limit
    assert json.loads(found)["r"] == references[chosen]
    assert len(json.loads(found)["t"]) >= ENOUGH_TEXT - 2


def test_a_text_that_fits_is_not_cut() -> None:
    references = push_ids.references(make_notification(**WHOLE))

    found = fit_about(document, references, "t" * 2000, 4096)

    assert json.loads(found) == {"r": references[0], "t": "t" * 2000}


def test_data_that_leaves_no_room_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="data of the message"):
        fit_about(
            lambda reference, text: b"x" * 500,
            push_ids.references(make_notification(**WHOLE)),
            "text",
            400,
        )
