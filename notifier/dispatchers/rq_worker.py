"""The worker of `rq`, and the task that any RQ worker can run."""

import asyncio
import logging
import time
from functools import cache
from types import FrameType

from redis import Redis, RedisError
from rq import SimpleWorker

import config
from config import Settings
from notifier.dispatchers.rq_queue import QUEUE
from notifier.engine import build_engine, new_owner
from notifier.process import engine_thread
from notifier.process.engine_thread import WarmEngine

log = logging.getLogger(__name__)

# An init system sends SIGKILL after ten seconds, as a rule.
STOP_S = 8.0
RECONNECT_S = 2.0
CONNECT_S = 5.0
_warm_here = False


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; runs tasks in this process, beside a warm engine.

    RQ's ordinary worker forks for every task, and a fork has no warm connections.
    """
    global _warm_here  # noqa: PLW0603 - tells the task below which worker runs it
    _warm_here = True
    engine = engine_thread.shared(settings)
    engine.wake()
    redis = Redis.from_url(settings.redis_url, socket_connect_timeout=CONNECT_S)
    try:
        while problem := _work(redis, engine):
            log.info("no Redis, only looking at the outbox: %s", problem)
            time.sleep(RECONNECT_S)
    finally:
        engine.stop(STOP_S)


def _work(redis: Redis, engine: WarmEngine) -> RedisError | None:
    """Until it is told to stop, or Redis goes away.

    RQ waits for a Redis that goes away while it waits for tasks, but not for one that
    goes away while it ends a task.
    """
    try:
        worker = _Worker([QUEUE], connection=redis)
        worker.engine = engine
        worker.work(logging_level="CRITICAL")
    except RedisError as problem:
        return problem
    return None


class _Worker(SimpleWorker):
    """Told to end, it does not wait for the job of its task: the outbox has it."""

    engine: WarmEngine

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.engine.leave()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def push(job_id: int) -> None:
    """The task: done when nothing is to be done for the job now."""
    if not _warm_here:
        # `rq worker`: this process ends with the task, so it works and leaves nothing.
        asyncio.run(_work_once())
    elif job_id:
        engine_thread.shared(_settings()).work(job_id)
    else:
        engine_thread.shared(_settings()).wake()


async def _work_once() -> None:
    engine = build_engine(_settings(), owner=new_owner())
    await engine.run(linger_s=0.0, wake=asyncio.Event())


@cache
def _settings() -> Settings:
    return config.from_env()
