"""A PostgreSQL server for several programs, each with a database of its own."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url

from tests.support import postgresql

# The rivals together need about a hundred, which is the default.
MAX_CONNECTIONS = 500


class Server:
    """It creates databases; `pid` is its first process."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        directory = Path(str(self._url.query["host"]))
        self.pid = int((directory / "postmaster.pid").read_text().split()[0])
        self._numbers = itertools.count(1)

    def new_database(self) -> URL:
        """The address of a database without tables."""
        name = f"benchmark_{next(self._numbers)}"
        with connect(self._url) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url.set(database=name)


@contextmanager
def running() -> Iterator[Server]:
    with postgresql.running() as server:
        with connect(make_url(server.url)) as connection:
            setting = f"ALTER SYSTEM SET max_connections = {MAX_CONNECTIONS}"
            connection.execute(setting.encode())
        server.stop()
        server.start()
        yield Server(server.url)


def connect(url: URL) -> psycopg.Connection:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)
