"""The fork server in a host that embeds Python or reaps all its children."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datastore import Datastore
from notifier.process.push_process import PushProcess
from tests.support.chats import make_chat, post
from tests.support.fake_engine import FakeEngines, pushed
from tests.support.paths import ROOT
from tests.support.push_processes import PausingProcess, parent
from tests.support.wait import until

# As in uWSGI, where Python is a library and `sys.executable` is uwsgi.
EMBEDDED = """
import sys
sys.executable = "/usr/sbin/uwsgi"
from pathlib import Path
from notifier.process import fork_server
fork_server.warm_up()
command = Path(f"/proc/{fork_server._own._server.pid}/cmdline")
while b"fork_server_main" not in command.read_bytes():
    pass
print(command.read_bytes().partition(bytes(1))[0].decode())
"""


def test_an_embedded_interpreter_is_found_beside_its_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDED],
        capture_output=True,
        check=True,
        cwd=ROOT,
        text=True,
        timeout=90,
    )

    python = Path(done.stdout.strip())
    assert python.parent == Path(sys.prefix) / "bin"
    assert python.name.startswith("python")


@pytest.mark.parametrize("host_reaps", [False, True])
def test_a_fork_server_that_died_is_replaced(
    host_reaps: bool, store: Datastore, make_settings
) -> None:
    settings = make_settings(push_linger_s=0.0)
    chat_id = make_chat(store, 1)
    first = PausingProcess(settings, FakeEngines(), "exit")
    first.start()
    fork_server = parent(first.pid)
    first.go()
    first.join(60)
    os.kill(fork_server, signal.SIGKILL)
    if host_reaps:
        os.waitpid(fork_server, 0)
    else:
        os.waitid(os.P_PID, fork_server, os.WEXITED | os.WNOWAIT)
    job_id = post(store, chat_id)

    second = PushProcess(settings, FakeEngines())
    second.start()

    assert until(lambda: dict(pushed(settings.run_dir)).get(job_id)) == second.pid


def test_a_fork_server_that_hangs_is_replaced(store: Datastore, make_settings) -> None:
    settings = make_settings(push_linger_s=0.0)
    chat_id = make_chat(store, 1)
    first = PausingProcess(settings, FakeEngines(), "exit")
    first.start()
    hanging = parent(first.pid)
    first.go()
    first.join(60)
    os.kill(hanging, signal.SIGSTOP)
    job_id = post(store, chat_id)

    second = PushProcess(settings, FakeEngines())
    second.start()

    assert until(lambda: dict(pushed(settings.run_dir)).get(job_id)) == second.pid
    assert parent(second.pid) != hanging
    # It has been killed and reaped.
    assert not Path(f"/proc/{hanging}").exists()


# As of a host whose temporary directory has a long path.
LONG_TMPDIR = """
import os, sys, tempfile
from notifier.process import fork_server
fork_server.warm_up()
address = fork_server._own._server.address
assert os.stat(address).st_mode & 0o777 == 0o600
assert os.stat(os.path.dirname(address)).st_mode & 0o777 == 0o700
print(address)
"""


@pytest.mark.parametrize("length", [20, 76, 90, 200])
def test_the_path_of_the_temporary_directory_may_be_long(
    length: int, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * length)
    long.mkdir()

    done = subprocess.run(
        [sys.executable, "-c", LONG_TMPDIR],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(long)},
        text=True,
        timeout=90,
        check=True,
    )

    address = Path(done.stdout.strip())
    # It ended with its host, and cleaned up.
    assert not address.parent.exists()
