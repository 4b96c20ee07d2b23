"""Exports of any size take little memory."""

import tracemalloc
from pathlib import Path

from sqlalchemy import insert, update

from datastore import exports
from models.base import utc_now
from models.chats import Chat, Message
from tests.support import chats as rooms
from tests.support import databases

MESSAGES = 3000
LETTERS = 4000
MOST_BYTES = 8 * 1024 * 1024


def test_an_export_takes_no_more_memory_than_a_few_pages(tmp_path: Path) -> None:
    with databases.fresh("sqlite", tmp_path) as store:
        chat = rooms.make_chat(store, 1)
        user = rooms.sender_of(store, chat)
        common = {"chat_id": chat, "sender_id": user, "silent": False}
        now = utc_now()
        with store.write() as session:
            session.execute(update(Chat).values(last_seq=MESSAGES))
            for seq in range(1, MESSAGES + 1):
                text = f"{seq} ".ljust(LETTERS, "x")
                row = {**common, "seq": seq, "text": text, "created_at": now}
                session.connection().execute(insert(Message), row)

        def read(part: exports.Part, key: exports.Key) -> exports.Page:
            with store.read() as session:
                return part(session, user, key)

        tracemalloc.start()
        found = sum(len(page) for page in exports.pages(read))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    # The user, a membership, and two devices at most.
    assert MESSAGES + 2 <= found <= MESSAGES + 5
    assert MESSAGES * LETTERS > MOST_BYTES > peak
