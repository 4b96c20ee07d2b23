"""The steps of the image's build, replayed without Docker, and the server of the image.

The Dockerfile's own lines are run by an ordinary user; see `tests.support.image_build`
for what is left out.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support import image_build
from tests.support.client import Client
from tests.support.deployment import instructions, last
from tests.support.image_build import Build
from tests.support.server import free_port
from tests.support.wait import until

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def build(missing: Callable[[str], NoReturn]) -> Iterator[Build]:
    [version] = {found for each in instructions() for found in _python_of(each.text)}
    python = image_build.find_python(version) or missing(f"Python {version}")
    # Not below pytest's directory, which only its owner can enter.
    with tempfile.TemporaryDirectory(
        prefix="image-", ignore_cleanup_errors=True
    ) as made:
        directory = Path(made)
        directory.chmod(0o755)
        context = image_build.context(directory / "context")
        build = Build(directory, python, context)
        build.run()
        yield build


def _python_of(text: str) -> list[str]:
    return re.findall(r"^python:([\d.]+)-slim", text)


def test_code_is_installed_from_the_wheel_alone(build: Build) -> None:
    found = build.execute(
        ["python", "-c", "import server, bottlepost; print(server.__file__)"]
    )

    assert found.returncode == 0, found.stdout
    assert found.stdout.startswith(f"{build.root}/opt/bottlepost/lib/")
    assert not list(build.root.glob("source"))


def test_server_runs_with_no_setting_at_all(build: Build) -> None:
    words = build.command([*last("ENTRYPOINT").words, *last("CMD").words])
    port = free_port()
    environment = build.environment | {"BOTTLEPOST_PORT": str(port)}
    run_dir = build.root / "var/lib/bottlepost"
    log = build.root / "home/log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            words,
            env=environment,
            cwd=run_dir,
            user=build.user,
            group=build.user,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: _is_healthy(build, port), 120, what=f"for {words} to be healthy")
        key = (run_dir / "service-key").read_text().strip()
        made = Client(f"http://127.0.0.1:{port}", key).post("/users", {"name": "Ann"})
    except AssertionError as failed:
        failed.add_note(log.read_text())
        raise
    finally:
        process.terminate()
        status = process.wait(60)

    assert made.status == 201
    assert status in (0, 143), log.read_text()
    assert (run_dir / "service-key").stat().st_mode & 0o777 == 0o600
    assert key not in log.read_text()


def _is_healthy(build: Build, port: int) -> bool:
    words = last("HEALTHCHECK").text.rpartition("CMD ")[2]
    assert words == '["bottlepost", "healthcheck"]'
    checked = build.execute(["bottlepost", "healthcheck"], BOTTLEPOST_PORT=str(port))
    return checked.returncode == 0
