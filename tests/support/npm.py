"""Programs of npm, installed into a temporary directory."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INSTALL_S = 300
RUN_S = 180
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def is_wanted() -> bool:
    """Whether tests may install packages of npm, from its registry."""
    return bool(os.environ.get("TEST_NPM"))


def is_installed() -> bool:
    return shutil.which("npm") is not None


@dataclass(frozen=True)
class NpmDirectory:
    """A directory with its own packages."""

    path: Path

    def install(self, packages: Sequence[str]) -> None:
        (self.path / "package.json").write_text('{"private": true, "type": "module"}')
        options = ["--no-audit", "--no-fund", "--loglevel", "error"]
        self._run(["npm", "install", *options, *packages], INSTALL_S)

    def run(self, program: str, *arguments: str) -> str:
        """The output of a program of a package; it must end with 0."""
        path = self.path / "node_modules" / ".bin" / program
        return self._run([str(path), *arguments], RUN_S)

    def node(self, *arguments: str) -> str:
        return self._run(["node", *arguments], RUN_S)

    def _run(self, command: list[str], seconds: int) -> str:
        ended = subprocess.run(
            command,
            cwd=self.path,
            env={**os.environ, **QUIET},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout
