"""Connections and transactions; the queries are in the modules beside, one per noun."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from datastore import mariadb, outages, postgresql, sqlite, writable
from datastore.budget import AMPLE, SMALL, Shares, share
from datastore.group_commit import GroupCommit
from datastore.lookups import AutocommitLookups, OwnLookups, PooledLookups
from datastore.outages import OUTAGES as OUTAGES
from datastore.pings import Freshness, ping_idle
from datastore.prepared import Link, Prepared, Row, Run, first_of_each, link_to
from datastore.timeouts import USUAL, Timeouts
from datastore.write_probe import WriteProbe

T = TypeVar("T")


class Abandoned(Exception):
    """The store was abandoned: a thread of an engine that has been left wakes up."""


# Says in the URL of PostgreSQL that there is a pooler: `?pooler=transaction`.
POOLER = "pooler"


class DatabaseSettings(Protocol):
    """The settings of the database."""

    @property
    def database_url(self) -> str: ...

    @property
    def database_timeout_s(self) -> float: ...

    @property
    def database_connections(self) -> int: ...


class Datastore:
    """One database. It may be shared between threads, and by both sides of a fork.

    A commit survives a crash of the process. With `durable` it also survives a power
    cut. Without it, SQLite and PostgreSQL may lose the last commits then, but neither
    this process nor the senders wait while it writes to the disk.

    On SQLite, a writer that has to wait for longer than `write_turn.WAIT_S` gets an
    OperationalError. Without `durable`, which is for engines, it waits on.
    """

    def __init__(
        self,
        url: str,
        *,
        durable: bool = True,
        limits: Timeouts = USUAL,
        shares: Shares = AMPLE,
    ) -> None:
        self.url = make_url(url)
        self._limits = limits
        self._shares = shares
        self._is_durable = durable
        self._freshness = Freshness()
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.is_postgresql = self.url.get_backend_name() == "postgresql"
        self.has_pooler = POOLER in self.url.query
        self._server_url = self.url.difference_update_query([POOLER])
        self._options = self._engine_options()
        self.engine = self._create_engine()
        self._writers = (
            sqlite.prepare(self.engine, durable=durable) if self.is_sqlite else None
        )
        # With a pooler, BEGIN says so.
        self._is_hasty = self.is_postgresql and not durable and not self.has_pooler
        self._keep_connections()
        self.is_abandoned = False
        self._at_begin: list[Callable[[], None]] = []
        _open_stores.add(self)

    @classmethod
    def of(
        cls, settings: DatabaseSettings, *, durable: bool = True, patient: bool = False
    ) -> "Datastore":
        """For a few threads beside the requests.

        `patient` means that a statement may take long.
        """
        limits = Timeouts(settings.database_timeout_s, is_patient=patient)
        return cls(settings.database_url, durable=durable, limits=limits, shares=SMALL)

    @classmethod
    def of_web_worker(cls, settings: DatabaseSettings) -> "Datastore":
        """For the requests of a web worker."""
        limits = Timeouts(settings.database_timeout_s)
        shares = share(settings.database_connections)
        return cls(settings.database_url, limits=limits, shares=shares)

    def _engine_options(self) -> dict[str, Any]:
        if mariadb.is_meant(self.url):
            return mariadb.options(self.url, self._limits)
        if self.is_postgresql:
            return postgresql.options(
                self.url, self.url.query.get(POOLER), self._limits
            )
        return {}

    def _create_engine(self) -> Engine:
        if self.is_sqlite:
            return create_engine(self._server_url, hide_parameters=True)
        engine = create_engine(
            self._server_url,
            pool_size=self._shares.pooled,
            max_overflow=0,
            hide_parameters=True,
            **self._options,
        )
        self._watch(engine)
        if self.is_postgresql and self.has_pooler:
            is_hasty = not self._is_durable
            postgresql.prepare_pooled(engine, self._limits, is_hasty=is_hasty)
        elif self.is_postgresql:
            postgresql.prepare(engine, self._limits, is_hot=not self._is_durable)
        else:
            mariadb.prepare(engine, self._limits)
        return engine

    def _watch(self, engine: Engine) -> None:
        """Connections that are of no use are replaced."""
        self._freshness.watch(engine)
        ping_idle(engine)
        outages.watch(engine)

    def _keep_connections(self) -> None:
        """Connections for the hot paths are kept beside the pool."""
        self._lookups: OwnLookups | PooledLookups = PooledLookups(self.engine)
        self._waiting = PooledLookups(self.engine)
        self._kept_writer = None
        if self._writers is not None:
            self._lookups = OwnLookups(self.engine)
            self._kept_writer = sqlite.KeptWriter(self.engine, self._writers)
            self._group_commit = GroupCommit(
                self._kept_writer.write, self._writers.lock.deadline
            )
            self._write_probe = WriteProbe(self.engine, self._writers)
        if self.is_postgresql:
            bare = postgresql.prepare_bare if self.has_pooler else postgresql.prepare

            def prepare(engine: Engine) -> None:
                self._watch(engine)
                bare(engine, self._limits)

            where = self._server_url, self._options, prepare
            self._lookups = AutocommitLookups(*where, self._shares.lookups)
            self._waiting = AutocommitLookups(*where, self._shares.waiting)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the data and writes nothing."""
        self._before_transaction()
        self.check_file()
        with Session(self.engine, expire_on_commit=False) as session:
            yield session
            # After a rollback, PostgreSQL's driver would prepare its statements anew.
            session.commit()

    def lookup(self) -> AbstractContextManager[Link]:
        """A connection for single prepared statements, without a transaction."""
        return self._lookups.link()

    @contextmanager
    def write(self, *, patient: bool = False) -> Iterator[Session]:
        """A transaction: committed at the end of the block, undone by an exception.

        `patient` waits for SQLite's other writers as long as it takes.
        """
        self._before_transaction()
        with (
            self.engine.connect() as connection,
            # It joins the connection's transaction, and costs little if it is not used.
            Session(connection, expire_on_commit=False) as session,
        ):
            connection.execution_options(sqlite_begin="IMMEDIATE")
            # As short as possible, because other writers wait for its end.
            with self._begin(connection, patient=patient):
                session.info[Link] = link_to(connection)
                if self._is_hasty:
                    connection.exec_driver_sql(postgresql.HASTY)
                yield session
                self._refuse_if_abandoned()
                if session.in_transaction():
                    session.commit()

    def _begin(
        self, connection: Connection, *, patient: bool
    ) -> AbstractContextManager[Any]:
        if self._writers is None:
            return connection.begin()
        deadline = None if patient else self._writers.lock.deadline()
        return self._writers.turn(connection, deadline)

    def check_file(self) -> None:
        """Raise DatabaseReplaced if SQLite's file has been deleted or replaced.

        For old connections, which still read the old file.
        """
        if self._writers is not None:
            self._writers.file.check()

    def check_writable(self, session: Session) -> None:
        """Raise NotWritable if writes fail at present; waits for no other writer.

        `session` is one of `read`.
        """
        if self._writers is not None:
            self._write_probe.check()
        else:
            writable.check(session)

    def forget_deleted_bytes(self) -> bool:
        """Clean SQLite's files of what was deleted; False if that has to wait."""
        if self._writers is None:
            return True
        return sqlite.forget_deleted_bytes(self.engine, self._writers)

    def write_grouped(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction, on SQLite together with those of other threads.

        `work` may be called twice; its first call is then rolled back.
        """
        if self._kept_writer is not None:
            self._before_transaction()
            return self._group_commit.run(self._unless_abandoned(work))

        def run() -> T:
            with self.write() as session:
                return work(session)

        return outages.retrying(run)

    def _unless_abandoned(self, work: Callable[[Session], T]) -> Callable[[Session], T]:
        def checked(session: Session) -> T:
            result = work(session)
            self._refuse_if_abandoned()
            return result

        return checked

    def call_at_begin(self, call: Callable[[], None]) -> None:
        """Make this call at the beginning of each transaction, on its thread."""
        self._at_begin.append(call)

    def abandon(self) -> None:
        """Refuse all transactions from now on, and the commits of those that run.

        For a store in which a thread hangs: nothing can wake that thread, and what it
        would write when it wakes up is too late.
        """
        self.is_abandoned = True

    def _before_transaction(self) -> None:
        self._refuse_if_abandoned()
        for call in self._at_begin:
            call()

    def _refuse_if_abandoned(self) -> None:
        if self.is_abandoned:
            raise Abandoned("this engine has been left because a query hung")

    def run_at_once(self, prepared: Prepared, values: Mapping[str, Any]) -> Row | None:
        """Run and commit one statement of PostgreSQL; returns its first row."""

        def run() -> Row | None:
            with self.lookup() as link:
                return prepared.first(link, values)

        return outages.retrying(run)

    def run_in_turn(self, runs: Sequence[Run]) -> list[Row | None]:
        """Run statements of PostgreSQL in a transaction, in one round trip if possible.

        They may wait for a lock. Returns the first row of each.
        """

        def run() -> list[Row | None]:
            with self._waiting.link() as link:
                return first_of_each(link, runs, pipelined=not self.has_pooler)

        return outages.retrying(run)

    @contextmanager
    def patient(self) -> "Iterator[Datastore]":
        """The same database, for statements that may take long."""
        if self.is_sqlite:
            yield self
            return
        url = self.url.render_as_string(hide_password=False)
        limits = self._limits.patient()
        own = Datastore(
            url, durable=self._is_durable, limits=limits, shares=self._shares
        )
        try:
            yield own
        finally:
            own.close()

    def close(self) -> None:
        self._lookups.close()
        self._waiting.close()
        if self._kept_writer is not None:
            self._kept_writer.close()
        self.engine.dispose()
        if self._writers is not None:
            self._writers.lock.close()

    def forget_connections(self) -> None:
        """In a forked child: leave them open, because the parent goes on using them."""
        self._lookups.forget()
        self._waiting.forget()
        self.engine.dispose(close=False)
        self._keep_connections()
        if self._writers is not None:
            self._writers.lock.reset()


# Weak, because a hook cannot be unregistered from `os` and would keep each store alive.
_open_stores: WeakSet[Datastore] = WeakSet()


def _forget_all_connections() -> None:
    for store in list(_open_stores):
        store.forget_connections()


os.register_at_fork(after_in_child=_forget_all_connections)
