"""The fork server, where the host is not an ordinary Python program."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

# As in uWSGI, where Python is a library and `sys.executable` is uwsgi.
EMBEDDED = """
import os, sys
sys.executable = "/usr/sbin/uwsgi"
from multiprocessing import spawn
from notifier import fork_server
fork_server.warm_up()
print(os.fsdecode(spawn.get_executable()))
"""


def test_an_embedded_interpreter_is_found_beside_its_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDED],
        capture_output=True,
        check=True,
        cwd=ROOT,
        text=True,
        timeout=20,
    )

    python = Path(done.stdout.strip())
    assert python.parent == Path(sys.prefix) / "bin"
    assert python.name.startswith("python")
