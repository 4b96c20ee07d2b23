"""A client that a public generator makes of a description, and programs that use it."""

import subprocess
import sys
from pathlib import Path

# Both run without the h2 that comes with an old library of ours: httpcore would
# import it, and it knows nothing of today's Python.
WITHOUT_H2 = "import sys; sys.modules['h2'] = None\n"
GENERATE = f"{WITHOUT_H2}from openapi_python_client.cli import app; app()"
PACKAGE = "generated"


def generate(url: str, directory: Path) -> None:
    """Make the package `generated` there, of a description."""
    options = ["--meta", "none", "--output-path", str(directory / PACKAGE)]
    _python(GENERATE, directory, "generate", "--url", url, *options)


def run(program: str, directory: Path, *arguments: str) -> str:
    """What a program prints that imports the package."""
    return _python(WITHOUT_H2 + program, directory, *arguments)


def _python(program: str, directory: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
