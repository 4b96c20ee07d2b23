"""Celery workers as they are usually written: each task opens a new connection.

    python -m benchmarks.cold_celery

The comparison for `bottlepost worker celery`, whose processes keep their engines and
so their connections.
"""

import asyncio
import sys

import config
from config import Settings
from notifier.dispatchers.celery_queue import TASK, application

# This also imports the engine, once, before Celery forks its processes.
from notifier.dispatchers.celery_worker import QUIET
from notifier.engine import build_engine, new_owner

# The Redis database, different from that of the other Celery.
DATABASE = 1


def main() -> None:
    settings = config.from_env()
    celery = application(settings)

    @celery.task(name=TASK)
    def push(_job_id: int) -> None:
        asyncio.run(_push(settings))

    sys.exit(celery.start(["worker", "--loglevel", "WARNING", *QUIET]))


async def _push(settings: Settings) -> None:
    engine = build_engine(settings, owner=new_owner())
    await engine.run(linger_s=0.0, wake=asyncio.Event())


if __name__ == "__main__":
    main()
