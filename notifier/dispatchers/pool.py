"""Dispatcher `pool`: a multiprocessing.Pool of warm engines in the web worker."""

from functools import partial

from config import Settings
from notifier.process import engine_thread
from notifier.process.engine_pool import EnginePool
from notifier.process.wake_sender import WakeSender


def create(settings: Settings) -> WakeSender:
    """Each web worker has a pool of its own, which begins with its first message."""
    return WakeSender(
        settings, partial(EnginePool, settings), slots=engine_thread.slots(settings)
    )
