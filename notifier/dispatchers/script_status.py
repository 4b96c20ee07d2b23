"""The status of the jobs of `script` in Redis: one hash per job.

`bottlepost:job:<id>` has created, state, total, accepted, failed, progress (0 to 1)
and at the end finished and result or error; it expires. `bottlepost:jobs` is the set
of the jobs that have not ended.
"""

from collections.abc import Sequence
from typing import Any

from redis import Redis

from config import Settings
from datastore import Datastore
from datastore.outbox import job_status
from datastore.outbox.job_status import JobStatus
from notifier.process import redis_options

OPEN_JOBS = "bottlepost:jobs"
ENDED = ("completed", "failed")
TIMEOUT_S = 1.0
# Jobs in one refresh; others follow in a later one.
MAX_BATCH = 500


def key(job_id: int) -> str:
    return f"bottlepost:job:{job_id}"


class StatusPublisher:
    """Writes the hashes; every method raises RedisError when Redis is down."""

    def __init__(self, settings: Settings) -> None:
        self._redis = Redis.from_url(
            settings.redis_url,
            socket_connect_timeout=TIMEOUT_S,
            **redis_options.options(settings.redis_url, TIMEOUT_S),
        )
        self._store = Datastore.of(settings)
        self._expiry_s = int(settings.script_expiry_s)

    def publish(self, job_ids: Sequence[int]) -> None:
        """Write the status of these jobs, and have it refreshed until they end."""
        if job_ids:
            self._redis.sadd(OPEN_JOBS, *job_ids)
            self._write(self._find(job_ids))

    def refresh(self) -> None:
        """Write the status of all jobs that have not ended, also of other scripts."""
        found: Any = self._redis.srandmember(OPEN_JOBS, MAX_BATCH)
        self._write(self._find([int(job_id) for job_id in found]))

    def close(self) -> None:
        self._redis.close()
        self._store.close()

    def _find(self, job_ids: Sequence[int]) -> dict[int, JobStatus | None]:
        with self._store.read() as session:
            return {job_id: job_status.find(session, job_id) for job_id in job_ids}

    def _write(self, found: dict[int, JobStatus | None]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for job_id, status in found.items():
            if status is not None:
                pipeline.hset(key(job_id), mapping=_fields(status))
                pipeline.expire(key(job_id), self._expiry_s)
            if status is None or status.state in ENDED:
                pipeline.srem(OPEN_JOBS, job_id)
        pipeline.execute()


def _fields(status: JobStatus) -> dict[Any, Any]:
    done = status.accepted + status.failed
    fields: dict[Any, Any] = {
        "created": status.created_at.isoformat(),
        "state": status.state,
        "accepted": str(status.accepted),
        "failed": str(status.failed),
    }
    if status.total is not None:
        fields["total"] = str(status.total)
        fields["progress"] = f"{done / status.total if status.total else 1.0:.3f}"
    if status.error:
        fields["error"] = status.error
    if status.finished_at is not None:
        fields["finished"] = status.finished_at.isoformat()
        fields["result"] = f"{status.accepted} of {done} devices"
    return fields
