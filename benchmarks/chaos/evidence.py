"""Reads what happened: from the provider's journal, the database and the senders."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set

from benchmarks.chaos.history import Arrival, Counts, History, Saved, Strike
from benchmarks.chaos.posters import Posters
from benchmarks.chaos.stage import Stage
from benchmarks.chaos.watcher import AFTER_ALL

MESSAGES = "SELECT id, chat_id, seq, text FROM message ORDER BY id"
JOBS = "SELECT message_id, total, accepted, failed, finished_at FROM push_job"
PLACES = "SELECT token, user_id, id FROM device"
PUT_OFF = (
    "SELECT push_job.message_id, device.token FROM chaos_put_off"
    " JOIN push_job ON push_job.id = chaos_put_off.job_id"
    " JOIN device ON device.id = chaos_put_off.device_id"
)


def collect(stage: Stage, posters: Posters, strikes: Sequence[Strike]) -> History:
    messages: dict[int, Saved] = {}
    texts: dict[str, int] = defaultdict(int)
    seqs: dict[int, list[int]] = defaultdict(list)
    for message, chat, seq, text in stage.database.rows(MESSAGES):
        messages[message] = Saved(chat, seq, posters.posted_at[text])
        texts[text] += 1
        seqs[chat].append(seq)
    for answer in posters.answers:
        # An answered message that is not in the database is lost.
        messages.setdefault(answer.message, Saved(answer.chat, answer.seq, 0.0))
    counts = _counts(stage)
    put_off = frozenset(
        (message, token) for message, token in stage.database.rows(PUT_OFF)
    )
    return History(
        audiences=stage.audiences,
        messages=messages,
        arrivals=list(_arrivals(stage)),
        strikes=strikes,
        recorded_by=_recorded_by(stage, messages, put_off),
        put_off=put_off,
        counts=counts,
        last_seqs=dict(stage.database.rows("SELECT id, last_seq FROM chat")),
        seqs=seqs,
        texts=texts,
    )


def _recorded_by(
    stage: Stage, messages: Mapping[int, Saved], put_off: Set[tuple[int, str]]
) -> dict[tuple[int, str], float]:
    places = {
        token: (user, device) for token, user, device in stage.database.rows(PLACES)
    }
    found = {}
    for message, saved in messages.items():
        # The cursor also passes a device that is tried again, before it accepts.
        places_here = {
            token: AFTER_ALL if (message, token) in put_off else places[token]
            for token in stage.audiences[saved.chat]
        }
        for token, at in stage.watcher.recorded_by(
            message, places_here, saved.posted_at
        ):
            found[message, token] = at
    return found


def _counts(stage: Stage) -> dict[int, Counts]:
    """The sums over a message's jobs."""
    found: dict[int, Counts] = {}
    for message, total, accepted, failed, finished_at in stage.database.rows(JOBS):
        before = found.get(message, Counts(0, 0, 0, False))
        found[message] = Counts(
            None if total is None else (before.total or 0) + total,
            before.accepted + accepted,
            before.failed + failed,
            before.is_open or finished_at is None,
        )
    return found


def _arrivals(stage: Stage) -> Iterator[Arrival]:
    with stage.journal.open() as lines:
        for line in lines:
            _, at, _, _, token, _, mark, *_ = json.loads(line)
            # The collapse id of a push is "message-<id of the message>".
            yield Arrival(at, int(mark.rpartition("-")[2]), token)
