"""Other people's libraries, each installed where it meets no other one."""

import subprocess
import venv
from pathlib import Path

from tests.support.paths import ROOT

# The scripts that use the libraries, and lists of what to install for them.
FOREIGN = Path(__file__).parent / "foreign"


def is_installed(name: str) -> bool:
    return (_directory(name) / "complete").exists()


def python(name: str, requirements: str) -> Path:
    """The Python of a virtual environment with what a file of FOREIGN lists."""
    directory = _directory(name)
    found = directory / "bin" / "python"
    if not is_installed(name):
        venv.create(directory, clear=True, with_pip=True)
        wanted = str(FOREIGN / requirements)
        _run(str(found), "-m", "pip", "install", "--quiet", "-r", wanted)
        (directory / "complete").touch()
    return found


def node_path(name: str, *packages: str) -> Path:
    """A directory of packages for node; needs npm."""
    directory = _directory(name)
    if not is_installed(name):
        directory.mkdir(exist_ok=True)
        _run("npm", "install", "--silent", "--prefix", str(directory), *packages)
        (directory / "complete").touch()
    return directory / "node_modules"


def _directory(name: str) -> Path:
    return ROOT / f".venv-{name}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
