"""The script of `script`: starts, works, tells Redis how far it is, and ends."""

import asyncio
import logging
import signal

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from config import Settings
from datastore import Datastore
from notifier.dispatchers.script_status import StatusBoard
from notifier.engine import build_engine, new_event_loop, new_owner
from notifier.process import watchdog
from notifier.process.slots import Slot, Slots

log = logging.getLogger(__name__)

REPORT_S = 0.25


def run(settings: Settings, job_id: int) -> None:
    """Work through the outbox, unless `script_limit` others do so already."""
    slots = Slots(settings.run_dir / "workers", settings.script_limit)
    store = Datastore(settings.database_url)
    while slot := slots.take():
        log.info("job %d: begun", job_id)
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(_work(settings, slot, store))
        finally:
            slot.clear()
            slot.release()
        # What came while the slot was being given up would find nobody else.
        if not watchdog.is_work_due(store):
            return


async def _work(settings: Settings, slot: Slot, store: Datastore) -> None:
    owner = new_owner()
    watchdog.take_over(store, slot, owner)
    engine = build_engine(settings, owner=owner)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, engine.stop)
    board = StatusBoard(settings)
    reports = asyncio.create_task(_report(board))
    try:
        await engine.run(linger_s=0.0, wake=asyncio.Event())
    finally:
        reports.cancel()
        await asyncio.to_thread(_tell, board)
        board.close()


async def _report(board: StatusBoard) -> None:
    while True:
        await asyncio.to_thread(_tell, board)
        await asyncio.sleep(REPORT_S)


def _tell(board: StatusBoard) -> None:
    try:
        board.refresh()
    except (RedisError, SQLAlchemyError) as problem:
        log.warning("cannot report: %s", problem)
