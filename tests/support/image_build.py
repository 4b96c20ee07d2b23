"""Replays the Dockerfile in a directory, as an ordinary user and without Docker.

Each stage is a directory that stands for the root of a file system; the paths of the
Dockerfile are moved into it. A copy of Python stands for the base image. What needs
root is left out: there is no user to add, and files belong to whoever replays.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.deployment import Instruction, instructions
from tests.support.paths import ROOT

# The directories that the Dockerfile names by absolute paths.
MOVED = re.compile(
    r"(?<![\w/.*-])/(opt|wheel|source|var/lib/bottlepost|sandbox"
    r"|constraints-build\.txt)(?![\w-])"
)
AS_ROOT = re.compile(r"useradd [^&]*&& |--(owner|group)=\S+ ")
# Whoever is not root, if root replays.
NOBODY = 65534
TIMEOUT_S = 600


def find_python(version: str) -> Path | None:
    """The directory of a Python of this version that can be copied."""
    found = [Path(p).resolve() for p in [shutil.which(f"python{version}")] if p]
    found += sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python3"))
    for python in found:
        # A shim of pyenv is a script.
        if python.read_bytes()[:4] == b"\x7fELF":
            return python.resolve().parent.parent
    return None


class Build:
    """The stages of the image under one directory."""

    def __init__(self, directory: Path, python: Path, context: Path) -> None:
        self._directory = directory
        self._python = python
        self._context = context
        self._base = directory / "base"
        # What was run, as it was run.
        self.ran: list[str] = []
        self.root = directory
        self.environment: dict[str, str] = {}
        self.user = NOBODY if os.geteuid() == 0 else None

    def run(self) -> None:
        shutil.copytree(
            self._python,
            self._base / "usr/local",
            symlinks=True,
            ignore=shutil.ignore_patterns("test", "__pycache__", "*.a"),
        )
        # The script of the original names the original Python.
        pip = self._base / "usr/local/bin/pip"
        pip.unlink()
        pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
        pip.chmod(0o755)
        self._give_away(self._directory)
        for each in instructions():
            if each.name == "FROM":
                self._begin(each.words[-1] if "AS" in each.words else "image")
            elif each.name == "ENV":
                self._set(each)
            elif each.name == "COPY":
                self._copy(each)
            elif each.name == "RUN":
                self._run(each.text)

    def command(self, words: list[str]) -> list[str]:
        """A command of the image with its paths moved."""
        return [self.move(word) for word in words]

    def move(self, text: str) -> str:
        return MOVED.sub(lambda found: f"{self.root}/{found[1]}", text)

    def _begin(self, stage: str) -> None:
        self.root = self._directory / stage
        self.root.mkdir()
        self._give_away(self.root)
        home = self.root / "home"
        home.mkdir()
        self._give_away(home)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("PIP_") or name in ("LANG", "http_proxy", "https_proxy")
        }
        self.environment["HOME"] = str(home)
        self.environment["PATH"] = f"{self._base}/usr/local/bin:/usr/bin:/bin"
        # A shared library of Python is looked for where Python was built for.
        self.environment["LD_LIBRARY_PATH"] = f"{self._base}/usr/local/lib"

    def _set(self, instruction: Instruction) -> None:
        for word in instruction.words:
            name, value = word.split("=", 1)
            value = value.replace("$PATH", self.environment["PATH"])
            self.environment[name] = self.move(value)

    def _copy(self, instruction: Instruction) -> None:
        options = [word for word in instruction.words if word.startswith("--")]
        *sources, target = [
            word for word in instruction.words if not word.startswith("--")
        ]
        origin = self._context
        for option in options:
            if option.startswith("--from="):
                origin = self._directory / option.removeprefix("--from=")
        into = self.root / target.lstrip("/")
        for source in sources:
            found = origin / source.lstrip("/")
            if found.is_dir():
                shutil.copytree(found, into, dirs_exist_ok=True)
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, into)
                if "--chmod=755" in options:
                    (into / found.name).chmod(0o755)
        self._give_away(self.root)

    def _run(self, text: str) -> None:
        command = self.move(AS_ROOT.sub("", text))
        self.ran.append(command)
        done = self.execute(["sh", "-euc", command])
        assert done.returncode == 0, f"{command}\n{done.stdout}"

    def execute(
        self, words: list[str], **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            env=self.environment | more,
            cwd=self.root,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def _give_away(self, directory: Path) -> None:
        if self.user is not None:
            owner = f"{self.user}:{self.user}"
            subprocess.run(["chown", "-R", owner, str(directory)], check=True)


def context(directory: Path) -> Path:
    """What `docker build .` sends: the files that .dockerignore lets in."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    for name in [line[1:] for line in lines if line[:1] == "!"]:
        source, target = ROOT / name, directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    return directory
