"""The script of `script`: works through the outbox and publishes status in Redis."""

import asyncio
import logging
import os
import signal

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from config import Settings
from datastore import Datastore
from notifier.dispatchers.script_status import StatusPublisher
from notifier.engine import (
    IsRetired,
    StuckDatabase,
    build_engine,
    never_retired,
    new_event_loop,
    new_owner,
)
from notifier.process import watchdog
from notifier.process.generation import Retirement
from notifier.process.slots import Slot, worker_slots

log = logging.getLogger(__name__)

REPORT_S = 0.25
# The exit status of a script that leaves a thread behind in a query that hangs.
EXIT_STUCK = 70


def run(settings: Settings, job_id: int, number: int | None = None) -> None:
    """Work through the outbox, unless `script_limit` scripts do so already.

    `number` is the generation of the web worker that starts the script.
    """
    is_retired = (
        never_retired
        if number is None
        else Retirement(settings.run_dir, number).has_begun
    )
    slots = worker_slots(settings, settings.script_limit)
    store = Datastore.of(settings)
    while slot := slots.take():
        log.info("started for job %d", job_id)
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(_work(settings, slot, store, job_id, is_retired))
        finally:
            slot.release()
        # No other script was started for jobs that came before the release.
        if is_retired() or not watchdog.is_work_due(store):
            return


async def _work(
    settings: Settings,
    slot: Slot,
    store: Datastore,
    job_id: int,
    is_retired: IsRetired,
) -> None:
    owner = new_owner()
    watchdog.take_over(store, slot, owner)
    engine = build_engine(settings, owner=owner, is_retired=is_retired)
    engine.expect(job_id)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, engine.stop)
    publisher = StatusPublisher(settings)
    reports = asyncio.create_task(_report(publisher))
    try:
        await engine.run(linger_s=0.0, wake=asyncio.Event())
    except* StuckDatabase as problem:
        # Another script is started; the name in the slot says that this one died.
        log.error("a query hangs; leaving", exc_info=problem)
        logging.shutdown()
        os._exit(EXIT_STUCK)
    finally:
        reports.cancel()
        await asyncio.to_thread(_publish, publisher)
        publisher.close()


async def _report(publisher: StatusPublisher) -> None:
    while True:
        await asyncio.to_thread(_publish, publisher)
        await asyncio.sleep(REPORT_S)


def _publish(publisher: StatusPublisher) -> None:
    try:
        publisher.refresh()
    except (RedisError, SQLAlchemyError) as problem:
        log.warning("cannot publish the status: %s", problem)
