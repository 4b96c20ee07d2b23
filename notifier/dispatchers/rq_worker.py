"""The worker of `rq`, and the task that any RQ worker can run."""

import asyncio
import logging
import time
from functools import cache
from types import FrameType

from redis import Redis, RedisError
from rq import SimpleWorker
from rq.serializers import JSONSerializer

import config
from config import Settings
from notifier.dispatchers.rq_queue import PushTask, queue
from notifier.engine import build_engine, new_owner
from notifier.process import engine_thread, redis_options
from notifier.process.engine_thread import EngineThread

log = logging.getLogger(__name__)

# Init systems usually send SIGKILL after ten seconds.
STOP_S = 8.0
RECONNECT_S = 2.0
CONNECT_S = 5.0
# RQ waits for tasks 15 seconds less at a time, and for Redis's answer 5 seconds less.
# Its default of 7 minutes would be spent on a Redis that hangs.
WORKER_TTL_S = 30
_is_warm = False


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; runs tasks in this process, beside a warm engine.

    RQ's default worker forks for every task, and a fork has no warm connections.
    """
    global _is_warm  # noqa: PLW0603 - tells `push` which worker runs it
    _is_warm = True
    engine = engine_thread.shared(settings)
    engine.wake()
    redis = Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=CONNECT_S,
        # RQ sets the timeout of an answer itself; see WORKER_TTL_S.
        **redis_options.options(settings.redis_url, None),
    )
    try:
        while problem := _work(redis, engine):
            log.info("Redis is down, working without it: %s", problem)
            time.sleep(RECONNECT_S)
    finally:
        engine.stop(STOP_S)


def _work(redis: Redis, engine: EngineThread) -> RedisError | None:
    """Work until a signal (returns None), or until Redis goes away.

    RQ survives a Redis that goes away while it waits for a task, but not one that goes
    away while it finishes a task.
    """
    try:
        worker = RqWorker(
            [queue(redis)],
            connection=redis,
            worker_ttl=WORKER_TTL_S,
            job_class=PushTask,
            serializer=JSONSerializer,
        )
        worker.engine = engine
        worker.work(logging_level="CRITICAL")
    except RedisError as problem:
        return problem
    return None


class RqWorker(SimpleWorker):
    """On a signal, it does not wait for its task's job, because the outbox has it."""

    engine: EngineThread

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.engine.stop_waiting()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def push(job_id: int) -> None:
    """The task; done when the job needs no work now."""
    if not _is_warm:
        # `rq worker`: this process ends with the task, so its engine does too.
        asyncio.run(_work_once(job_id))
    elif job_id:
        engine_thread.shared(_settings()).work(job_id)
    else:
        engine_thread.shared(_settings()).wake()


async def _work_once(job_id: int) -> None:
    engine = build_engine(_settings(), owner=new_owner())
    engine.expect(job_id)
    await engine.run(linger_s=0.0, wake=asyncio.Event())


@cache
def _settings() -> Settings:
    return config.from_env()
