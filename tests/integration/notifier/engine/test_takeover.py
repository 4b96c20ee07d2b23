"""Two engines on one database; one goes in the middle of busy conversations.

Each device gets the messages of its conversation in their order, whichever engine
pushes them. An inversion is the first arrival of a later message before the first
arrival of an earlier one.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from datastore import Datastore
from datastore.outbox import due_work
from tests.support import chats, engine_child, push_processes
from tests.support.wait import until

CHATS = 8
DEVICES = 4
MESSAGES = 30
LEASE_S = 2.0

Child = subprocess.Popen[bytes]
Strike = Callable[[Datastore, Child, Callable[[], list[list[str]]]], None]


def kill(_store: Datastore, child: Child, _arrivals: object) -> None:
    """Its leases have to expire."""
    push_processes.kill(child.pid)


def kill_and_release(store: Datastore, child: Child, _arrivals: object) -> None:
    """As the next owner of its slot does it."""
    push_processes.kill(child.pid)
    with store.write() as session:
        due_work.release_owner(session, "a")


def end(_store: Datastore, child: Child, _arrivals: object) -> None:
    push_processes.stop(child.pid)


def stop_for_long(
    store: Datastore, child: Child, arrivals: Callable[[], list[list[str]]]
) -> None:
    """It wakes up when the other engine has gone on with its conversations."""
    with store.write():
        # Not while it holds SQLite's write lock, which the other one needs.
        os.kill(child.pid, signal.SIGSTOP)
        until(lambda: push_processes.state(child.pid) == "T")
    before = arrivals()
    last_by = {line[0].split(":")[0]: line[2] for line in before}
    its_chats = {chat for chat, owner in last_by.items() if owner == "a"}

    def taken_over() -> int:
        new = {line[0] for line in arrivals()[len(before) :] if line[2] == "b"}
        return sum(text.split(":")[0] in its_chats for text in new)

    until(lambda: taken_over() > 8)
    os.kill(child.pid, signal.SIGCONT)


@pytest.mark.parametrize("strike", [kill, kill_and_release, end, stop_for_long])
def test_no_conversation_is_turned_round(
    store: Datastore, tmp_path: Path, strike: Strike
) -> None:
    busy = [chats.make_chat(store, DEVICES) for _ in range(CHATS)]
    path = tmp_path / "arrivals"
    path.touch()

    def arrivals() -> list[list[str]]:
        return [line.split() for line in path.read_text().splitlines()]

    def post_all() -> None:
        for number in range(MESSAGES):
            for chat in busy:
                _post(store, chat, f"{chat}:{number}")

    with engine_child.running(store, "a", lease_s=LEASE_S, path=path) as first:
        posting = threading.Thread(target=post_all)
        posting.start()
        # Alone until then: on SQLite, one of two engines may get nearly everything.
        until(lambda: len(arrivals()) > 2 * DEVICES * CHATS)
        with engine_child.running(store, "b", lease_s=LEASE_S, path=path):
            strike(store, first, arrivals)
            posting.join()
            until(lambda: chats.open_jobs(store) == 0)

    first_arrivals = {(text, device): None for text, device, _ in arrivals()}
    assert len(first_arrivals) == CHATS * DEVICES * MESSAGES
    assert inversions(list(first_arrivals)) == []


def _post(store: Datastore, chat: int, text: str) -> None:
    """Post as a client does: again, if a stopped writer has the database for long."""
    for _ in range(9):
        with suppress(OperationalError):
            chats.post(store, chat, text=text)
            return
    chats.post(store, chat, text=text)


def inversions(arrived: list[tuple[str, str]]) -> list[str]:
    by_device: dict[str, list[int]] = {}
    for text, device in arrived:
        by_device.setdefault(device, []).append(int(text.split(":")[1]))
    return [
        f"device {device}: {later} before {earlier}"
        for device, numbers in by_device.items()
        for later, earlier in pairwise(numbers)
        if later > earlier
    ]
