"""Bottlepost as a wheel in a new virtual environment, without a package index."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from bottlepost.own_modules import NAMES
from tests.support.paths import ROOT

PACKAGED = ("bottlepost", "demo", "sandbox", *NAMES)
METADATA = ("setup.cfg", "pyproject.toml", "docs/package.md", "LICENSE")


def copy_source(source: Path) -> None:
    """Copy what is packaged, so that a build leaves nothing in this checkout."""
    source.mkdir()
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / f"{name}.py", source)
    for name in METADATA:
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)


def build_wheel(directory: Path) -> Path:
    """The wheel of this checkout."""
    source = directory / "source"
    copy_source(source)
    _pip("wheel", "--no-build-isolation", "--wheel-dir", str(directory), str(source))
    (wheel,) = directory.glob("bottlepost-*.whl")
    return wheel


def install(wheel: Path, directory: Path) -> Path:
    """Install it into a new environment; returns the environment's `bin`.

    Its dependencies are those of the environment in which the tests run, whose own
    Bottlepost it does not see.
    """
    venv.create(directory, symlinks=True)
    python = directory / "bin" / "python"
    _pip("--python", str(python), "install", str(wheel))
    lend_dependencies(directory)
    return python.parent


def lend_dependencies(directory: Path) -> None:
    """Let a virtual environment find the packages of that of the tests."""
    (packages,) = directory.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")


def _pip(*arguments: str) -> None:
    options = ["--disable-pip-version-check", "--quiet"]
    place = arguments[:2] if arguments[0] == "--python" else ()
    command, *rest = arguments[len(place) :]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", *place, *options),
            *(command, "--no-deps", "--no-index", *rest),
        ],
        check=True,
        timeout=240,
    )
