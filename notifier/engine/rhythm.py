"""When an engine looks at the outbox again."""

from datetime import datetime, timedelta

from models.base import utc_now

# While jobs run, the next claim is this long after the last one …
CLAIM_INTERVAL_S = 0.005
# … and longer for each job that the last one took, so that a claim takes all jobs that
# arrived in between …
CLAIM_INTERVAL_OF_JOB_S = 0.0025
# … but not longer than this.
LONGEST_CLAIM_INTERVAL_S = 0.02

# How often an engine without room looks which jobs have made no progress.
ROOM_INTERVAL_S = 0.25


def room_at() -> datetime:
    """When an engine without room looks again whether it can make some."""
    return utc_now() + timedelta(seconds=ROOM_INTERVAL_S)


def claim_interval_s(jobs: int) -> float:
    """Seconds from a claim that took that many jobs to the next one."""
    interval_s = CLAIM_INTERVAL_S + jobs * CLAIM_INTERVAL_OF_JOB_S
    return min(interval_s, LONGEST_CLAIM_INTERVAL_S)


def wait_s(left_s: float | None, due_at: datetime | None) -> float | None:
    """Seconds until the engine would exit or something is due, whichever is first."""
    waits = [] if left_s is None else [left_s]
    if due_at is not None:
        waits.append((due_at - utc_now()).total_seconds())
    # The minimum prevents a busy loop over a due job that cannot be claimed yet.
    return max(min(waits), 0.01) if waits else None
