"""Runs one part: strikes while messages are posted, then settles and judges."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select, update

from benchmarks.chaos import clock, evidence, faults, history, parts
from benchmarks.chaos.history import GUARANTEES
from benchmarks.chaos.parts import Part
from benchmarks.chaos.posters import Posters
from benchmarks.chaos.stage import Stage
from benchmarks.chaos.strikes import make_strikes
from models.base import utc_now
from models.pushes import PushFailure, PushJob

SETTLE_S = 90.0
# The provider takes as long as a real one, so that messages queue up in their chats.
LATENCY_MS = 50
CHECK_S = 0.2
# How often waiting retries are made due at the end, because their delay grows up to an
# hour with the number of failures.
RETRY_EVERY_S = 3.0
OPEN_JOBS = "SELECT id FROM push_job WHERE finished_at IS NULL LIMIT 1"


class PartResult(NamedTuple):
    """A part's row, its strikes by fault, and what is known about its failures."""

    row: dict[str, Any]
    faults: dict[str, int]
    details: list[str]


def run(
    part: Part,
    strikes: int,
    seed: int,
    *,
    only: Sequence[str] = (),
    latency_ms: int = LATENCY_MS,
) -> PartResult:
    """Strike a part, by these faults alone if there are any; judge what is left."""
    rng = parts.randoms(seed, part)
    with_clock = clock.compiler() is not None and (not only or faults.CLOCK in only)
    directory = tempfile.mkdtemp(prefix="bottlepost-chaos-")
    path = Path(directory)
    with closing(
        Stage(part, path, rng, with_clock=with_clock, latency_ms=latency_ms)
    ) as stage:
        posters = Posters(stage.urls, stage.senders, rng, stage.supervise)
        with posters:
            made = make_strikes(stage, faults.plan(stage, strikes, only), strikes)
        settled_s = _settle(stage)
        # The watcher looks once more.
        time.sleep(2 * CHECK_S)
        seen = evidence.collect(stage, posters, made)
        result = _result(stage, seen, posters, settled_s)
    if not result.details:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        result.details.append(f"logs: {directory}")
    return result


def _settle(stage: Stage) -> float:
    """Wait until all jobs have ended, for a limited time; returns how long it took."""
    began_at = retried_at = time.monotonic()
    while stage.database.rows(OPEN_JOBS):
        now = time.monotonic()
        if now - began_at > SETTLE_S:
            break
        if now - retried_at > RETRY_EVERY_S:
            retried_at = now
            _retry_now(stage)
        stage.supervise()
        time.sleep(CHECK_S)
    return time.monotonic() - began_at


def _retry_now(stage: Stage) -> None:
    """Make all waiting retries due; a job that waits for its turn stays as it is."""
    now = utc_now()
    idle = PushJob.fanned_out, PushJob.lease_owner.is_(None)
    waiting = select(PushJob.id).where(*idle, PushJob.due_at.is_not(None))
    with stage.store.write() as session:
        session.execute(
            update(PushFailure)
            .where(PushFailure.job_id.in_(waiting), PushFailure.next_attempt_at > now)
            .values(next_attempt_at=now)
        )
        session.execute(
            update(PushJob).where(*idle, PushJob.due_at > now).values(due_at=now)
        )


def _result(
    stage: Stage, seen: history.History, posters: Posters, settled_s: float
) -> PartResult:
    found = asdict(history.check(seen))
    wrong = {status: count for status, count in sorted(posters.wrong.items())}
    row = {
        "part": stage.part.name,
        **found,
        "wrong_answers": sum(wrong.values()),
        "unanswered": posters.unanswered,
        "settled_s": round(settled_s, 1),
    }
    details = [f"answered {status}: {count}" for status, count in wrong.items()]
    if posters.unanswered or any(found[name] for name in GUARANTEES):
        details += _explain(stage, seen)
    by_fault = Counter(strike.fault for strike in seen.strikes)
    return PartResult(row, dict(by_fault), details)


def _explain(stage: Stage, seen: history.History) -> list[str]:
    """What helps to find the cause."""
    lines = [f"lost: {_told(seen, one)}" for one in sorted(history.lost(seen))[:3]]
    lines += [f"inversion: {_told(seen, one)}" for one in history.inversions(seen)[:3]]
    lines += [f"unexcused: {_told(seen, one)}" for one in _some_unexcused(seen)]
    lines += [f"miscounted: {_counted(seen, one)}" for one in history.miscounted(seen)]
    lines.append(
        "strikes: "
        + ", ".join(
            f"{strike.fault} {_since(seen, strike.began)}-{_since(seen, strike.ended)}"
            for strike in seen.strikes
        )
    )
    columns = (
        "id, message_id, chat_id, state, due_at, lease_owner, waits_for, holds_chat, "
        "cursor_user, fanned_out, total, accepted, failed, attempts, error"
    )
    query = f"SELECT {columns} FROM push_job WHERE finished_at IS NULL ORDER BY id"
    lines += [f"open ({columns}): {row}" for row in stage.database.rows(query)[:10]]
    return lines


def _counted(seen: history.History, message: int) -> str:
    arrived = {one.token for one in seen.arrivals if one.message == message}
    audience = seen.audiences[seen.messages[message].chat]
    return f"{message}: {seen.counts[message]}, {len(arrived)} of {len(audience)}"


def _some_unexcused(seen: history.History) -> list[tuple[int, str]]:
    """One push of each of the first messages."""
    by_message = {message: token for message, token in history.unexcused(seen)}
    return sorted(by_message.items())[:3]


def _told(seen: history.History, push: tuple[int, str]) -> str:
    """The story of a push; all times are seconds since the first strike."""
    message, token = push
    saved = seen.messages[message]
    at = [
        _since(seen, one.at)
        for one in seen.arrivals
        if (one.message, one.token) == push
    ]
    recorded = _since(seen, seen.recorded_by.get(push, history.NEVER))
    return (
        f"message {message}, {saved.seq} of chat {saved.chat}, device {token[-6:]}: "
        f"posted {_since(seen, saved.posted_at)}, arrived {', '.join(at) or 'never'}, "
        f"recorded {recorded}"
    )


def _since(seen: history.History, moment: float) -> str:
    first = seen.strikes[0].began if seen.strikes else 0.0
    return f"{moment - first:.2f}"
