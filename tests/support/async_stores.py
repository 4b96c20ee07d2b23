"""A datastore on its engine's thread, for one test."""

from collections.abc import Iterator
from contextlib import contextmanager

from datastore import Datastore
from notifier.engine.async_store import AsyncStore


@contextmanager
def on_thread(store: Datastore) -> Iterator[AsyncStore]:
    """The thread ends with the block; the datastore stays open."""
    async_store = AsyncStore(store)
    try:
        yield async_store
    finally:
        async_store.stop_threads()
