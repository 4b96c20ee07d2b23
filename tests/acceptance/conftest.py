"""A real sandbox for the whole folder, and a real server for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import push_processes, sandbox
from tests.support.sandbox import Sandbox
from tests.support.scene import FAST, Scene
from tests.support.server import Server


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def scene(shared_sandbox: Sandbox, tmp_path: Path) -> Iterator[Scene]:
    shared_sandbox.reset()
    with Server(tmp_path, {**shared_sandbox.environment, **FAST}) as server:
        yield Scene(tmp_path, server, shared_sandbox)
    push_processes.end_all(tmp_path)
