"""A MariaDB server for the tests of `make test-mariadb`."""

import atexit
import getpass
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from tests.support.wait import until

# "start" starts a server; any other value is the URL of a server on which databases
# may be created and dropped: mysql+pymysql://root@127.0.0.1:3306/
VARIABLE = "TEST_MARIADB"
START = "start"
# Debian installs it in a directory that may be missing in PATH.
PATHS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
# No test cuts the power, and each new database would wait for the disk.
FAST = (
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=8M",
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=0",
    "--skip-innodb-doublewrite",
)


def is_wanted() -> bool:
    return bool(os.environ.get(VARIABLE))


def fresh_url(name: str, options: str = "") -> str:
    """The address of a new, empty database."""
    _run(f"CREATE OR REPLACE DATABASE `{_own(name)}` {options}")
    return _url(name)


def copy_url(template: str, name: str) -> str:
    """The address of a new database with the tables of another one, without rows.

    It knows its revision all the same. A migration takes several times as long.
    """
    options, tables = _description(template)
    new = _own(name)
    _run(
        f"CREATE OR REPLACE DATABASE `{new}` {options}",
        f"USE `{new}`",
        *tables,
        f"INSERT INTO alembic_version SELECT * FROM `{_own(template)}`.alembic_version",
    )
    return _url(name)


@cache
def _description(template: str) -> tuple[str, tuple[str, ...]]:
    """The options of a database, and the statements that create its tables."""
    engine = create_engine(_url(template))
    with engine.connect() as connection:
        ask = connection.exec_driver_sql
        [(charset, collation)] = ask(
            "SELECT @@character_set_database, @@collation_database"
        )
        names = [name for (name,) in ask("SHOW TABLES")]
        tables = [ask(f"SHOW CREATE TABLE `{each}`").one()[1] for each in names]
    engine.dispose()
    return f"CHARACTER SET {charset} COLLATE {collation}", tuple(tables)


def _own(name: str) -> str:
    """A given server serves all workers of pytest-xdist, and one run after another."""
    return f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


def _url(name: str) -> str:
    return _server().set(database=_own(name)).render_as_string(hide_password=False)


@cache
def _server() -> URL:
    given = os.environ[VARIABLE]
    return _start() if given == START else make_url(given)


def _start() -> URL:
    """A server for this test run, with a Unix socket and no network."""
    directory = Path(tempfile.mkdtemp(prefix="bottlepost-mariadb-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    user = f"--user={getpass.getuser()}"
    data, socket = f"--datadir={directory}/data", directory / "socket"
    with (directory / "log").open("wb") as log:
        subprocess.run(
            [
                *(_program("mariadb-install-db"), "--no-defaults", user, data),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
                *FAST,
            ],
            stdout=log,
            stderr=log,
            check=True,
        )
        server = subprocess.Popen(
            [
                *(_program("mariadbd"), "--no-defaults", user, data, *FAST),
                *(f"--socket={socket}", "--skip-networking"),
                f"--pid-file={directory}/pid",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    atexit.register(_end, server)
    url = URL.create(
        "mysql+pymysql", username="root", query={"unix_socket": str(socket)}
    )
    until(lambda: _answers(url, server), 60, what="for MariaDB")
    return url


def _program(name: str) -> str:
    found = shutil.which(name, path=PATHS)
    assert found, f"{name} is not installed: apt install mariadb-server"
    return found


def _end(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    server.wait(30)


def _answers(url: URL, server: "subprocess.Popen[bytes]") -> bool:
    assert server.poll() is None, f"MariaDB ended with {server.returncode}"
    engine = create_engine(url)
    try:
        engine.connect().close()
    except OperationalError:
        return False
    finally:
        engine.dispose()
    return True


def _run(*statements: str) -> None:
    engine = create_engine(_server(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # Else tables that refer to each other can be neither created nor dropped in
        # any order.
        connection.exec_driver_sql("SET SESSION foreign_key_checks = OFF")
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
