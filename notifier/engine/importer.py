"""Works uploads in beside the pushes: one at a time, one chunk a transaction."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.orm import Session

from datastore import Datastore, imports
from models.base import utc_now
from models.imports import ImportJob
from notifier.engine.async_store import AsyncStore
from notifier.outcome import retry_delay_s

log = logging.getLogger(__name__)

# The shortest pause between two chunks.
PAUSE_S = 0.01
# A database that refuses to say what is due is not asked again at once.
LOOK_AGAIN_S = 1.0


class Importer:
    """The engine's hand for imports; `on_idle` is called when it is free again."""

    def __init__(
        self,
        store: Datastore,
        *,
        owner: str,
        lease: timedelta,
        on_idle: Callable[[], None],
    ) -> None:
        # A thread of its own: a chunk takes longer than pushes like to wait.
        self._store = AsyncStore(store)
        self._owner = owner
        self._lease = lease
        self._on_idle = on_idle
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    def begin(self) -> None:
        """Take an import that is due, if nobody is faster."""
        if self._task is None and not self._stopping:
            self._task = asyncio.create_task(self._guard(), name="import")

    async def stop(self) -> None:
        """Return when the chunk under way is in; the engine returns the lease."""
        self._stopping = True
        if self._task is not None:
            await self._task

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._store.executor.shutdown(wait=True)

    async def _guard(self) -> None:
        """One import's trouble stays its own."""
        claimed = None
        try:
            claimed = await self._store.write(_claim, self._owner, self._lease)
            if claimed is not None:
                await self._work(claimed.id)
        except Exception:
            if claimed is None:
                log.exception("cannot take an import")
                await asyncio.sleep(LOOK_AGAIN_S)
            else:
                # Most likely somebody has registered the same at the same moment.
                log.exception("import %d: cannot be worked on now", claimed.id)
                await self._put_off(claimed.id, claimed.attempts)
        finally:
            self._task = None
            self._on_idle()

    async def _work(self, import_id: int) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began_at = loop.time()
            is_going_on = await self._store.write(
                _put_next, self._owner, import_id, self._lease
            )
            if not is_going_on:
                break
            # As long as the chunk took: half of the turns at the database are theirs
            # who send messages.
            await asyncio.sleep(max(PAUSE_S, loop.time() - began_at))

    async def _put_off(self, import_id: int, attempts: int) -> None:
        now = utc_now()
        await self._store.write(
            imports.put_off,
            self._owner,
            import_id,
            error="internal error; see the log of the notifier",
            now=now,
            until=now + timedelta(seconds=retry_delay_s(attempts)),
        )


# Leases begin when a transaction's turn has come, however long that took.


def _claim(session: Session, owner: str, lease: timedelta) -> ImportJob | None:
    now = utc_now()
    return imports.claim(session, owner, now=now, lease_until=now + lease)


def _put_next(session: Session, owner: str, import_id: int, lease: timedelta) -> bool:
    now = utc_now()
    return imports.put_next(session, owner, import_id, now=now, lease_until=now + lease)
