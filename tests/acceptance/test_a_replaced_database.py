"""A database file that is replaced while the server and its PushProcess run."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import push_processes
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.wait import until


@pytest.fixture
def system(shared_sandbox: Sandbox, tmp_path: Path) -> Iterator[RunningSystem]:
    shared_sandbox.reset()
    settings = {**shared_sandbox.environment, **FAST, "BOTTLEPOST_PUSH_SLOTS": "1"}
    with Server(tmp_path, settings) as server:
        yield RunningSystem(tmp_path, server, shared_sandbox)
    push_processes.end_all(tmp_path)


def replace(database: Path) -> None:
    """As from a backup."""
    copy = database.with_suffix(".backup")
    with sqlite3.connect(database) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    copy.replace(database)
    for end in ("-wal", "-shm"):
        Path(f"{database}{end}").unlink(missing_ok=True)


def test_nothing_accepted_is_lost_with_the_old_file(system: RunningSystem) -> None:
    """The server refuses; after its restart the old PushProcess is in nobody's way."""
    database = system.run_dir / "bottlepost.db"
    conversation = system.conversation(3)
    system.wait_until_ended(conversation, conversation.post("before"))
    (old,) = push_processes.living(system.run_dir)
    system.store.close()
    replace(database)

    refused = [conversation.post(f"refused {n}").status for n in range(20)]
    ready = system.server.client.get("/readyz")
    until(lambda: "restart the server" in system.server.log())
    system.server.stop()
    system.server.start()
    accepted = conversation.post("after")
    ended = system.wait_until_ended(conversation, accepted, timeout_s=30)

    assert set(refused) == {503}
    assert ready.status == 503
    assert "has been replaced" in ready.json["error"]["message"]
    assert accepted.status == 201
    assert ended["state"] == "completed"
    until(lambda: not push_processes.is_push_process(old))
