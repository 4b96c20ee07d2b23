"""Carries deletions out; as a process, step by step until it is killed."""

import os
import sys
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from datastore import Datastore, deletions
from models.base import utc_now
from models.deletions import UserDeletion

# More than any test needs.
MOST_STEPS = 2000


def finish(store: Datastore) -> None:
    """Do all steps, without the pause in which others end their transactions."""
    with store.write() as session:
        is_open = UserDeletion.due_at.is_not(None)
        session.execute(update(UserDeletion).where(is_open).values(due_at=utc_now()))
    for _ in range(MOST_STEPS):
        if not deletions.go_on(store, grace=timedelta()):
            break
    with store.read() as session:
        found = session.scalars(select(UserDeletion)).all()
        assert [each.state for each in found] == ["completed"] * len(found), [
            (each.stage, each.error) for each in found
        ]


def begin(service: Any, user_id: int, texts: str = "erase") -> int:
    """The id of a deletion that a request has begun."""
    reply = service.delete(f"/users/{user_id}?texts={texts}")
    assert reply.status == 202, reply.body
    return int(reply.json["deletion"]["id"])


def main() -> None:
    store = Datastore(os.environ["DATABASE_URL"])
    print("ready", flush=True)
    for _ in sys.stdin:
        print(deletions.go_on(store, grace=timedelta()), flush=True)


if __name__ == "__main__":
    main()
