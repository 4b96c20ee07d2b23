"""Dispatcher `pool`: a multiprocessing.Pool of warm engines in the web worker."""

from config import Settings
from notifier.process.engine_pool import EnginePool
from notifier.process.wake_sender import WakeSender


def create(settings: Settings) -> WakeSender:
    """Each web worker has its own pool, which starts with its first message."""
    return WakeSender(settings, EnginePool, shares_settings=True)
