"""A real sandbox for each file, and a real server for each test or for a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support import browser as chromium
from tests.support import push_processes, sandbox
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="module")
def world(
    shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningSystem]:
    """One server for a file whose tests break nothing; it serves as their `system`."""
    run_dir = tmp_path_factory.mktemp("world")
    with Server(run_dir, {**shared_sandbox.environment, **FAST}) as server:
        system = RunningSystem(run_dir, server, shared_sandbox)
        # The first push waits for a PushProcess to start and to connect to both
        # providers, which takes longer than these tests allow.
        warm_up = system.conversation(2)
        system.wait_until_ended(warm_up, warm_up.post())
        yield system
    push_processes.end_all(run_dir)


@pytest.fixture
def system(shared_sandbox: Sandbox, tmp_path: Path) -> Iterator[RunningSystem]:
    shared_sandbox.reset()
    with Server(tmp_path, {**shared_sandbox.environment, **FAST}) as server:
        yield RunningSystem(tmp_path, server, shared_sandbox)
    push_processes.end_all(tmp_path)


@pytest.fixture(scope="module")
def browser(missing: Any) -> Iterator[Browser]:
    program = chromium.program()
    with chromium.running(program or missing("Chromium")) as running:
        yield running
