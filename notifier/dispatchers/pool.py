"""Dispatcher `pool`: a multiprocessing.Pool of warm engines in the web worker."""

from functools import partial

from config import Settings
from notifier.dispatchers import warm
from notifier.dispatchers.crew import Crew
from notifier.dispatchers.messenger import Messenger


def open(settings: Settings) -> Messenger:
    """Each web worker has a pool of its own, which begins with its first message."""
    return Messenger(settings, partial(Crew, settings), slots=warm.slots(settings))
