"""Dispatcher `rq`: wake-ups go to RQ workers through Redis."""

from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from config import Settings
from notifier.engine import is_job_id
from notifier.process import engine_thread, redis_options
from notifier.process.wake_sender import WakeSender

QUEUE = "bottlepost"
TASK = "notifier.dispatchers.rq_worker.push"
# For one exchange with Redis, on the wake sender's thread; no request waits.
TIMEOUT_S = 2.0
# RQ's timeout of a task; longer than the engine's LONGEST_WORK_S.
TASK_TIMEOUT_S = int(engine_thread.LONGEST_WORK_S) + 60


def create(settings: Settings) -> WakeSender:
    return WakeSender(settings, RedisLink)


class ForeignTask(Exception):
    """A task in our queue that is not ours; it is not run."""


class PushTask(Job):
    """A task of RQ that runs our function with one number, and nothing else.

    RQ would run any function that a task or one of its callbacks names.
    """

    def _execute(self) -> Any:
        args = self.args
        is_ours = (self.func_name, self.instance, self.kwargs) == (TASK, None, {})
        if not is_ours or len(args) != 1 or not is_job_id(args[0]):
            raise ForeignTask(self.id)
        return super()._execute()

    @property
    def success_callback(self) -> None:
        return None

    failure_callback = stopped_callback = success_callback


def queue(redis: Redis) -> Queue:
    """The queue; its tasks are JSON, because unpickling can run any code."""
    return Queue(QUEUE, connection=redis, job_class=PushTask, serializer=JSONSerializer)


class RedisLink:
    """Enqueues job ids; they expire, because the watchdog repeats the wake-up."""

    def __init__(self, settings: Settings, _number: int = 0) -> None:
        self._redis = Redis.from_url(
            settings.redis_url,
            socket_connect_timeout=TIMEOUT_S,
            **redis_options.options(settings.redis_url, TIMEOUT_S),
        )
        self._queue = queue(self._redis)
        self._expiry_s = max(int(settings.watchdog_s * 10), 60)

    def send(self, job_ids: Sequence[int]) -> None:
        with self._redis.pipeline() as pipeline:
            for job_id in job_ids:
                self._queue.enqueue_call(
                    TASK,
                    args=(job_id,),
                    timeout=TASK_TIMEOUT_S,
                    result_ttl=0,
                    failure_ttl=self._expiry_s,
                    ttl=self._expiry_s,
                    pipeline=pipeline,
                )
            pipeline.execute()

    def close(self) -> None:
        self._redis.close()
