"""Generates a client from an OpenAPI document, and runs programs that use it."""

import subprocess
import sys
from pathlib import Path

# Both run without the old h2 that a dependency installs: httpcore would import it, and
# it does not work on current Python versions.
WITHOUT_H2 = "import sys; sys.modules['h2'] = None\n"
GENERATE = f"{WITHOUT_H2}from openapi_python_client.cli import app; app()"
PACKAGE = "generated"


def generate(url: str, directory: Path) -> None:
    """Generate the package `generated` from the document at a URL."""
    options = ["--meta", "none", "--output-path", str(directory / PACKAGE)]
    _python(GENERATE, directory, "generate", "--url", url, *options)


def run(program: str, directory: Path, *arguments: str) -> str:
    """Run a program that imports the package; returns its output."""
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
