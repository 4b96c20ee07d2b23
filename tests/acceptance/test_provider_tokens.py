"""However many processes push, Apple and Google see one token of ours at a time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import push_processes
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server


@pytest.fixture
def system(
    shared_sandbox: Sandbox, tmp_path: Path, slots: str
) -> Iterator[RunningSystem]:
    shared_sandbox.reset()
    # Apple's rule, which the sandbox is told to forget for most tests.
    shared_sandbox.control(apns_token_update_s=1200)
    environment = {**shared_sandbox.environment, **FAST, "BOTTLEPOST_PUSH_SLOTS": slots}
    with Server(tmp_path, environment) as server:
        yield RunningSystem(tmp_path, server, shared_sandbox)
    push_processes.end_all(tmp_path)


def tokens(system: RunningSystem) -> tuple[int, int]:
    """How many of Apple's and of Google's have been used."""
    stats = system.sandbox.stats()
    return stats["apns_jwts_seen"], stats["oauth_tokens_issued"]


def post_to_all(system: RunningSystem, count: int) -> None:
    conversations = [system.conversation(4) for _ in range(count)]
    posts = [conversation.post() for conversation in conversations]
    for conversation, posted in zip(conversations, posts, strict=True):
        job = system.wait_until_ended(conversation, posted)
        assert (job["accepted"], job["failed"]) == (4, 0)


@pytest.mark.parametrize("slots", ["0"])
def test_processes_that_start_together_share_a_token(system: RunningSystem) -> None:
    """No slots: each message has a process of its own."""
    post_to_all(system, 4)

    assert tokens(system) == (1, 1)


@pytest.mark.parametrize("slots", ["3"])
def test_a_killed_process_leaves_its_token_to_the_next(system: RunningSystem) -> None:
    post_to_all(system, 3)
    for pid in system.push_processes():
        push_processes.kill(pid)
    post_to_all(system, 3)

    assert tokens(system) == (1, 1)


@pytest.mark.parametrize("slots", ["3"])
def test_a_token_called_expired_is_replaced_once(system: RunningSystem) -> None:
    post_to_all(system, 2)
    system.sandbox.control(expire_provider_tokens=True)

    post_to_all(system, 4)

    assert tokens(system) == (2, 2)
