"""Claims due jobs, and takes up own claims whose result was lost."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from datastore import Datastore
from datastore.outbox import Claim, due_work
from datastore.outbox.due_work import Due, Taken
from notifier.engine.async_store import AsyncStore


class Claimer:
    """Looks at the outbox in one trip to the thread of the writes; one per engine.

    A look may be cut short after its claim was committed: the engine stops waiting, or
    the database goes away before the jobs are loaded. These jobs are leased to the
    engine, but it does not run them, so its next look begins with them.
    """

    def __init__(
        self,
        store: AsyncStore,
        *,
        owner: str,
        lease: timedelta,
        is_running: Callable[[Claim], bool],
    ) -> None:
        self._store = store
        self._owner = owner
        self._lease = lease
        # Asked from that thread.
        self._is_running = is_running
        # Set by each look on that thread, cleared when its result is here.
        self._may_have_lost = False

    async def take(
        self,
        *,
        limit: int,
        chain: int,
        behind: Sequence[int],
        shards: int,
        with_imports: bool,
    ) -> Taken:
        """The next due times, and the jobs that were claimed; see `due_work.take`."""
        taken = await self._store.call(
            self._take,
            limit=limit,
            chain=chain,
            behind=behind,
            shards=shards,
            with_imports=with_imports,
        )
        self._may_have_lost = False
        return taken

    def _take(
        self,
        store: Datastore,
        *,
        limit: int,
        chain: int,
        behind: Sequence[int],
        shards: int,
        with_imports: bool,
    ) -> Taken:
        # All looks run on one thread, so a look that was cut short has ended by now.
        may_have_lost, self._may_have_lost = self._may_have_lost, True
        if may_have_lost:
            lost = due_work.take_lost(store, self._owner, is_running=self._is_running)
            if lost:
                return Taken(Due(None, None), lost)
        return due_work.take(
            store,
            self._owner,
            limit=limit,
            chain=chain,
            behind=behind,
            shards=shards,
            with_imports=with_imports,
            lease=self._lease,
        )
