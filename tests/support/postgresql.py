"""A PostgreSQL server for one test, which can stop and restart it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import make_url

from tests.support import pgserver


class PostgresServer:
    """It keeps its data and its address when it is stopped."""

    def __init__(self) -> None:
        # Not in the test's directory: started by root, it runs as another user.
        directory = tempfile.mkdtemp(prefix="bottlepost-postgresql-")
        self._server: Any = pgserver.get_server(directory, cleanup_mode="delete")
        self.url = self._address()

    def stop(self) -> None:
        """Stop at once: open connections are cut."""
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()
        assert self._address() == self.url

    def remove(self) -> None:
        self._server.cleanup()

    def _address(self) -> str:
        url = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")
        return url.render_as_string(hide_password=False)


@contextmanager
def running() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        yield server
    finally:
        server.remove()
