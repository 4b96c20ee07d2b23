"""Works imports in beside the pushes: one at a time, one chunk per transaction."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

from datastore import Datastore, imports
from models.base import utc_now
from notifier.engine.async_store import AsyncStore
from notifier.retry_delays import retry_delay_s

log = logging.getLogger(__name__)

# The shortest pause between two chunks.
PAUSE_S = 0.01
# The pause after the database refused a claim.
CLAIM_RETRY_S = 1.0


class Importer:
    """Works on the engine's imports; `on_idle` is called after each of them."""

    def __init__(
        self,
        store: Datastore,
        *,
        owner: str,
        lease: timedelta,
        on_idle: Callable[[], None],
    ) -> None:
        self._datastore = store
        self._opened = ExitStack()
        self._async_store: AsyncStore | None = None
        self._owner = owner
        self._lease = lease
        self._on_idle = on_idle
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def _store(self) -> AsyncStore:
        """Opened with the first import, because few engines have one.

        It has threads of its own, because claims and records must not wait for a
        chunk, and is patient, because a chunk may take long.
        """
        if self._async_store is None:
            patient = self._opened.enter_context(self._datastore.patient())
            # A chunk may take longer, but then its lease is lost, and the end of the
            # engine need not wait for it.
            stuck_after_s = self._lease.total_seconds()
            self._async_store = AsyncStore(patient, stuck_after_s=stuck_after_s)
            self._opened.callback(self._async_store.stop_threads)
        return self._async_store

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    def begin(self) -> None:
        """Claim an import that is due, unless another engine is faster."""
        if self._task is None and not self._stopping:
            self._task = asyncio.create_task(self._guard(), name="import")

    async def stop(self) -> None:
        """Return when the current chunk is stored; the engine gives the lease back."""
        self._stopping = True
        if self._task is not None:
            await self._task

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._opened.close()

    async def _guard(self) -> None:
        """Work on one import; its failure must not affect the pushes."""
        claimed = None
        try:
            claimed = await self._store.write_leased(
                self._lease, imports.claim, self._owner
            )
            if claimed is not None:
                await self._work(claimed.id)
        except Exception:
            if claimed is None:
                log.exception("cannot take an import")
                await asyncio.sleep(CLAIM_RETRY_S)
            else:
                # Usually another transaction has registered the same at that moment.
                log.exception("import %d: cannot be worked on now", claimed.id)
                await self._postpone(claimed.id, claimed.attempts)
        finally:
            self._task = None
            self._on_idle()

    async def _work(self, import_id: int) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began_at = loop.time()
            has_more = await self._store.write_leased(
                self._lease, imports.put_next, self._owner, import_id
            )
            if not has_more:
                break
            # As long as the chunk took, so that senders get half of the time to write.
            await asyncio.sleep(max(PAUSE_S, loop.time() - began_at))

    async def _postpone(self, import_id: int, attempts: int) -> None:
        now = utc_now()
        await self._store.write(
            imports.put_off,
            self._owner,
            import_id,
            error="internal error; see the log of the notifier",
            now=now,
            until=now + timedelta(seconds=retry_delay_s(attempts)),
        )
