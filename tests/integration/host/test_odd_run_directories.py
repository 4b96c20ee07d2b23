"""Run directories whose names mean something else in a URL, from start to push."""

from pathlib import Path

import pytest

from tests.support import push_processes, sandbox
from tests.support.matrix import some_of
from tests.support.running_system import FAST, RunningSystem
from tests.support.server import Server

# Names, and a dispatcher each with files or sockets of its own in the run directory.
CASES = [
    ("a?b", "process"),
    ("a%41", "pool"),
    ("a b", "process"),
    ("ä", "pool"),
    ("a#b", "process"),
]


@pytest.mark.parametrize(
    ("name", "dispatcher"),
    some_of(CASES, [("a?b", "process"), ("a%41", "pool")]),
)
def test_it_pushes(tmp_path: Path, name: str, dispatcher: str) -> None:
    run_dir = tmp_path / name
    run_dir.mkdir()
    with sandbox.running(run_dir / "sandbox") as provider:
        settings = {**provider.environment, **FAST, "BOTTLEPOST_DISPATCHER": dispatcher}
        with Server(run_dir, settings) as server:
            system = RunningSystem(run_dir, server, provider)
            conversation = system.conversation(3)

            job = system.wait_until_ended(conversation, conversation.post())

            assert (job["state"], job["accepted"]) == ("completed", 3)
            assert system.pushed(conversation) == dict.fromkeys(conversation.tokens, 1)
            assert "Traceback" not in server.log()
            push_processes.end_all(run_dir)
            system.store.close()
    # All of its files are there, and none is beside it.
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (run_dir / "bottlepost.db").is_file()
