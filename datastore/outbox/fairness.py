"""Chooses among more due jobs than an engine has room for: every sender gets a turn.

One sender's heap of messages must not delay those of others. A look reads a few more
jobs than it may claim, the oldest and the newest, and takes one of each sender after
the other, beginning with those who have the fewest jobs under way. Whatever is due,
that costs the same; and a message is among the newest at the look that follows it.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any, NamedTuple

from sqlalchemy import Integer, Select, bindparam, func

from datastore.prepared import Link, Prepared
from models.chats import Message
from models.pushes import PushJob

# How many of the oldest and of the newest jobs a claim reads: as many as it may take,
# but at least so many.
READ_AT_LEAST = 128
# A sender may have this many jobs under way for each free place. So one sender alone
# fills three quarters of an engine, and several leave some of it free, too.
JOBS_PER_FREE_PLACE = 3


class Room(NamedTuple):
    """What an engine says about the places that it has."""

    # How many jobs of each sender are under way.
    senders: Callable[[], Mapping[int, int]]
    # So many places are not for senders who have much more than others.
    reserve: int


class Candidate(NamedTuple):
    """A due job, and the user who has caused it."""

    job_id: int
    sender: int


@cache
def candidates_of(due: Callable[[], Select[Any]]) -> Prepared:
    """Reads candidates among the jobs that `due` selects, without a lock."""
    sender = func.coalesce(PushJob.only_user, Message.sender_id)
    query = due().with_only_columns(PushJob.id, sender)
    query = query.join(Message, Message.id == PushJob.message_id)
    return Prepared(query.limit(bindparam("limit", type_=Integer)), picks=True)


def read(
    link: Link, due: Callable[[], Select[Any]], values: Mapping[str, Any], limit: int
) -> list[Candidate]:
    """The first of the due jobs, more than may be claimed."""
    limit = max(limit, READ_AT_LEAST)
    rows = candidates_of(due).all(link, {**values, "limit": limit})
    return [Candidate(*row) for row in rows]


def mix(oldest: Sequence[Candidate], newest: Sequence[Candidate]) -> list[Candidate]:
    """Two of the oldest, then one of the newest, and so on; each job once."""
    pairs = oldest[::2], oldest[1::2], newest
    mixed = (each for three in zip_longest(*pairs) for each in three if each)
    return list(dict.fromkeys(mixed))


class Turns:
    """Gives out the free places of an engine."""

    def __init__(self, free: int, under_way: Mapping[int, int] | None = None) -> None:
        self._left = free
        # None: places are free for anybody.
        self._is_bounded = under_way is not None
        self._held = Counter(under_way)

    def give(self, candidates: Iterable[Candidate], limit: int) -> list[int]:
        """Jobs (ids) that get a place, `limit` at most."""
        queues: dict[int, deque[tuple[int, int]]] = {}
        for place, (job_id, sender) in enumerate(candidates):
            queues.setdefault(sender, deque()).append((place, job_id))
        # The sender with the fewest jobs is the next; of several, the first in order.
        heap = [
            (self._held[sender], queue[0][0], sender)
            for sender, queue in queues.items()
        ]
        heapq.heapify(heap)
        given: list[int] = []
        while heap and len(given) < limit and self._left > 0:
            held, _, sender = heap[0]
            if self._is_bounded and held >= self._left * JOBS_PER_FREE_PLACE:
                break
            queue = queues[sender]
            given.append(queue.popleft()[1])
            self._held[sender] = held + 1
            self._left -= 1
            if queue:
                heapq.heapreplace(heap, (held + 1, queue[0][0], sender))
            else:
                heapq.heappop(heap)
        return given
