"""The kinds of notifications that senders may name; one object per web worker."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.exc import IntegrityError

from datastore import Datastore, kinds, outages
from models.base import utc_now
from models.errors import Forbidden, UnknownKind

# How long a change by another worker may go unnoticed.
MAX_AGE_S = 5.0


class KnownKinds:
    """Remembers the names of the kinds, and stores those of the file once.

    A name that is not known is looked up anew, so a kind may be named at once.
    """

    def __init__(
        self,
        of_file: Mapping[str, Mapping[str, Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # None: they are stored, or another process does that.
        self._of_file = of_file
        self._clock = clock
        # Whether members may use them, by name.
        self._names: Mapping[str, bool] = {}
        self._read_at: float | None = None

    def store_file(self, store: Datastore) -> None:
        """Raises the database's errors, and may then be called again."""
        if self._of_file is None:
            return
        definitions = self._of_file

        def load() -> None:
            with store.read() as session:
                if kinds.is_loaded(session, definitions):
                    return
            with store.write() as session:
                kinds.load_file(session, definitions, utc_now())

        try:
            outages.retrying(load)
        except IntegrityError:
            # Another worker has stored some of them at this very moment.
            outages.retrying(load)
        self._of_file = None

    def check(self, store: Datastore, name: str, *, is_service: bool) -> None:
        """Raises UnknownKind, or Forbidden if only the service may use the kind."""
        is_fresh = (
            self._read_at is not None and self._clock() < self._read_at + MAX_AGE_S
        )
        if not is_fresh or name not in self._names:
            self._read(store)
        if name not in self._names:
            raise UnknownKind(field="kind")
        if not is_service and not self._names[name]:
            raise Forbidden("Only the service may use this kind.", field="kind")

    def forget(self) -> None:
        """The kinds have changed."""
        self._read_at = None

    def _read(self, store: Datastore) -> None:
        self.store_file(store)
        now = self._clock()
        with store.lookup() as link:
            self._names = kinds.names(link)
        self._read_at = now
