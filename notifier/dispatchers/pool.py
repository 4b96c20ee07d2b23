"""Dispatcher `pool`: a multiprocessing.Pool of warm engines in the web worker."""

from functools import partial

from config import Settings
from notifier.process import engine_thread
from notifier.process.engine_pool import Crew
from notifier.process.wake_sender import Messenger


def open(settings: Settings) -> Messenger:
    """Each web worker has a pool of its own, which begins with its first message."""
    return Messenger(
        settings, partial(Crew, settings), slots=engine_thread.slots(settings)
    )
