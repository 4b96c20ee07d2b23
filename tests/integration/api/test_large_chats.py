"""Conversations with very many members."""

from sqlalchemy import insert

from models.accounts import User as UserRow
from models.base import utc_now


def test_hundred_thousand_members_are_seated_in_one_request(chat_api, ann):
    ids = list(range(10_000, 110_000))
    rows = [{"id": i, "name": f"user {i}", "created_at": utc_now()} for i in ids]
    with chat_api.store.write() as session:
        session.execute(insert(UserRow), rows)

    made = ann.client.post("/groupchat", {"name": "Everyone", "members": ids})

    assert (made.status, made.json["member_count"]) == (201, 100_001)
    assert len(made.json["members"]) == 1000
    again = ann.client.post(
        f"/groupchat/{made.json['id']}/members", {"user_ids": [*ids, ann.id]}
    )
    assert again.json["added"] == 0
