"""What `make run` shows while it installs: progress on a terminal, a line elsewhere."""

import os
import pty
import subprocess
import sys
import venv
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import installed
from tests.support.paths import ROOT

COMMAND = (ROOT / ".ci" / "venv", "venv", sys.executable)
# Pip needs no index: all packages are there, and so is what builds ours.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source and an environment to install into."""
    folder = tmp_path_factory.mktemp("installation")
    installed.copy_source(folder / "source")
    venv.create(folder / "venv", symlinks=True)
    installed.lend_dependencies(folder / "venv")
    return folder


def install(place: Path, what: str, **more: str) -> tuple[int, str]:
    """The status, and what a terminal shows."""
    ours, terminal = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "CI"}
    process = subprocess.Popen(
        [*COMMAND, what],
        cwd=place,
        env={**environment, **OFFLINE, **more},
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.STDOUT,
    )
    os.close(terminal)
    shown = bytearray()
    # The end of a terminal is an error on Linux, and nothing to read elsewhere.
    with suppress(OSError):
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    return process.wait(60), shown.decode(errors="replace")


def test_a_terminal_shows_each_package(place: Path) -> None:
    status, shown = install(place, "./source")

    assert status == 0, shown
    assert "package 1: " in shown
    assert "unpacking 1 packages" in shown
    assert "Requirement already satisfied" not in shown


def test_a_failure_shows_the_words_of_pip(place: Path) -> None:
    status, shown = install(place, "./nothing")

    assert status != 0
    assert "nothing" in shown
    assert "The installation failed" in shown


def test_it_is_quiet_in_ci(place: Path) -> None:
    status, shown = install(place, "./source", CI="true")

    assert status == 0, shown
    assert "package 1" not in shown
