"""Pages are bounded in bytes, and the next ones go on where they end."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert

from api.page_size import PAGE_BYTES
from models.accounts import User as UserRow
from models.base import utc_now
from models.chats import Chat, Member, Message
from tests.support.chat_api import ChatApi, User

# Four bytes for each of the longest text's characters.
LONG = "\N{GRINNING FACE}" * 4000
LONG_NAME = "\N{GRINNING FACE}" * 200
MESSAGES = 150
MEMBERS = 1500
# The answer around a page's rows.
FRAME = 200


@pytest.fixture
def long_messages(chat_api: ChatApi, ann: User, chat: int) -> str:
    now = utc_now()
    with chat_api.store.write() as session:
        session.execute(
            insert(Message),
            [
                {"chat_id": chat, "seq": seq, "sender_id": ann.id, "text": LONG}
                | {"silent": False, "created_at": now}
                for seq in range(1, MESSAGES + 1)
            ],
        )
        session.get_one(Chat, chat).last_seq = MESSAGES
    return f"/groupchat/{chat}/messages"


def pages(user: User, path: str, cursor: str, rows: str, key: str) -> Iterator[Any]:
    """Each page's rows; `cursor` is the parameter that goes on after a row's `key`."""
    more = ""
    while True:
        answer = user.client.get(f"{path}{more}")
        assert answer.status == 200
        assert 0 < len(answer.body) <= PAGE_BYTES + len(LONG.encode()) + FRAME
        yield answer.json[rows]
        if not answer.json["has_more"]:
            return
        edge = answer.json[rows][0 if cursor == "before" else -1]
        more = f"&{cursor}={edge[key]}"


@pytest.mark.parametrize(("cursor", "begin"), [("after", 0), ("before", 2**30)])
def test_long_messages_come_in_several_pages(ann, long_messages, cursor, begin) -> None:
    begin = "&after=0" if cursor == "after" else f"&before={begin}"
    found = list(
        pages(ann, f"{long_messages}?limit=200{begin}", cursor, "messages", "seq")
    )

    assert len(found) > 1
    # Forward or backward, each page is in ascending order.
    in_order = found if cursor == "after" else found[::-1]
    numbers = [message["seq"] for page in in_order for message in page]
    assert numbers == list(range(1, MESSAGES + 1))


def test_members_with_long_names_come_in_several_pages(chat_api, ann, chat) -> None:
    ids = range(1000, 1000 + MEMBERS)
    with chat_api.store.write() as session:
        session.execute(
            insert(UserRow),
            [{"id": i, "name": LONG_NAME, "created_at": utc_now()} for i in ids],
        )
        session.execute(
            insert(Member),
            [
                {"chat_id": chat, "user_id": i, "role": "member"}
                | {"joined_seq": 0, "read_seq": 0}
                for i in ids
            ],
        )

    path = f"/groupchat/{chat}/members?limit=1000"
    found = list(pages(ann, path, "after", "members", "id"))

    assert len(found) > 2
    assert [m["id"] for page in found for m in page][-MEMBERS:] == list(ids)


def test_conversations_with_long_messages_come_in_several_pages(chat_api, ann) -> None:
    chats = [chat_api.chat(ann, name=f"chat {n}") for n in range(60)]
    for each in chats:
        assert chat_api.say(ann, each, LONG).status == 201

    seen, before = [], ""
    while before is not None:
        answer = ann.client.get(f"/groupchat?limit=200{before and f'&before={before}'}")
        assert len(answer.body) <= PAGE_BYTES + len(LONG.encode()) + FRAME
        seen += [each["id"] for each in answer.json["conversations"]]
        before = answer.json["next"]

    assert seen == chats[::-1]
