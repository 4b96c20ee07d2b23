"""PgBouncer in transaction mode, for the tests of `make test-pgbouncer`."""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.support.server import free_port
from tests.support.wait import until

# "start" starts one of the system (Debian: pgbouncer).
VARIABLE = "TEST_PGBOUNCER"
PATHS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
# PgBouncer refuses to run as root; PostgreSQL's tests use this user as well.
USER = "pgserver"
# Few connections to the server, so that clients often get another one's.
SERVER_CONNECTIONS = 4


def is_wanted() -> bool:
    return bool(os.environ.get(VARIABLE))


def behind(url: str) -> str:
    """The address of a database of PostgreSQL behind a pooler."""
    direct = make_url(url)
    directory = str(direct.query["host"])
    pooled = direct.difference_update_query(["host"]).set(
        host="127.0.0.1", port=_start(directory)
    )
    pooled = pooled.update_query_dict({"pooler": "transaction"})
    return pooled.render_as_string(hide_password=False)


@cache
def _start(server: str) -> int:
    """A pooler in front of the server in that directory; returns its port."""
    program = shutil.which("pgbouncer", path=PATHS)
    assert program, "pgbouncer is not installed: apt install pgbouncer"
    directory = Path(tempfile.mkdtemp(prefix="bottlepost-pgbouncer-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    port = free_port()
    settings = directory / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={server} user=postgres\n"
        "[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\nmax_client_conn = 2000\n"
        f"default_pool_size = {SERVER_CONNECTIONS}\n"
        # A test's database is dropped with its server.
        "server_idle_timeout = 5\n"
    )
    directory.chmod(0o755)
    as_user = {"user": USER, "group": USER} if os.getuid() == 0 else {}
    with (directory / "log").open("wb") as log:
        pooler = subprocess.Popen(
            [program, str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **as_user,  # type: ignore[call-overload]
        )
    atexit.register(_end, pooler)
    until(lambda: _is_up(port, pooler), 30, what="for PgBouncer")
    return port


def _end(pooler: "subprocess.Popen[bytes]") -> None:
    # At once; SIGINT would wait for the clients.
    pooler.terminate()
    pooler.wait(30)


def _is_up(port: int, pooler: "subprocess.Popen[bytes]") -> bool:
    assert pooler.poll() is None, f"PgBouncer ended with {pooler.returncode}"
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
