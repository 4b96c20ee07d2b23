"""Installed from a wheel, it runs from a folder whose modules have our names."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import pytest

from bottlepost.own_modules import NAMES
from tests.support import installed, push_processes, sandbox
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import INHERITED, Server, free_port
from tests.support.wait import until

# What an engine imports, and a host does not: our children must not look here either.
OF_CHILDREN = ("hpack", "apns2", "aiosmtplib")
TRAP = "raise SystemExit(f'imported from the current directory: {__file__}')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `bin` of a clean environment."""
    return installed.install(wheel, tmp_path_factory.mktemp("clean") / "venv")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder of another project."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in (*NAMES, *OF_CHILDREN):
        (folder / f"{name}.py").write_text(TRAP)
    return folder


HOSTS = {
    "bottlepost serve": "{bin}/bottlepost serve",
    "python -m": "{bin}/python -m bottlepost serve",
    "gunicorn": (
        "{bin}/python -m gunicorn --bind 127.0.0.1:{{port}} --worker-class gthread"
        " --threads 4 bottlepost.wsgi:create_app()"
    ),
    "uwsgi": (
        "{bin}/python {here}/uwsgi --http-socket 127.0.0.1:{{port}} --master --need-app"
        " --die-on-term --enable-threads --threads 4"
        " --module bottlepost.wsgi:create_app()"
    ),
}


@pytest.mark.parametrize("host", HOSTS)
def test_a_message_is_pushed(
    tmp_path: Path, programs: Path, provider: Sandbox, project: Path, host: str
) -> None:
    command = HOSTS[host].format(bin=programs, here=Path(sys.executable).parent)
    environment = {**provider.environment, **FAST, "PYTHONPATH": ""}

    with Server(tmp_path, environment, command.split(), root=project) as server:
        system = RunningSystem(tmp_path, server, provider)
        conversation = system.conversation(3)
        job = system.wait_until_ended(conversation, conversation.post())

        assert job["state"] == "completed"
        assert system.pushed(conversation) == dict.fromkeys(conversation.tokens, 1)
        assert "current directory" not in server.log()
        push_processes.end_all(tmp_path)
        system.store.close()


def test_the_daemon_of_a_worker_starts(
    tmp_path: Path, programs: Path, project: Path
) -> None:
    environment = {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        "BOTTLEPOST_RUN_DIR": str(tmp_path),
        "BOTTLEPOST_SERVICE_KEY": "k" * 16,
        "BOTTLEPOST_MANAGER_ADDRESS": f"127.0.0.1:{free_port()}",
        "BOTTLEPOST_MANAGER_AUTHKEY": "the tests' own authkey",
    }

    def call(*arguments: str) -> int:
        return subprocess.run(
            [programs / "bottlepost", *arguments],
            cwd=project,
            env=environment,
            check=False,
            timeout=120,
        ).returncode

    assert call("migrate") == 0
    assert call("worker", "manager", "start") == 0
    assert call("worker", "manager", "stop") == 0


def test_a_hidden_module_is_told_in_one_line(
    tmp_path: Path, programs: Path, project: Path
) -> None:
    """The project has imported its own `config` before, so ours cannot be had."""
    (project / "config.py").write_text("")
    (project / "own_wsgi.py").write_text(
        "import config\nfrom bottlepost.wsgi import create_app\n"
    )
    command = HOSTS["gunicorn"].replace("bottlepost.wsgi:", "own_wsgi:")
    command = command.format(bin=programs)

    with Server(
        tmp_path, {"PYTHONPATH": ""}, command.split(), root=project, wait=False
    ) as server:
        status = until(server.process.poll, 60)

    ours = [line for line in server.log().splitlines() if "bottlepost: " in line]
    assert status not in (0, -9)
    assert len(ours) == 1, server.log()
    assert f"'config' is hidden by {project}/config.py" in ours[0]
    assert "bottlepost serve" in ours[0]
    assert "Traceback" not in server.log()


def test_the_metadata_is_complete(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        found = BytesParser(policy=default).parsebytes(archive.read(name))

    labels = {url.partition(",")[0] for url in found.get_all("Project-URL")}
    assert {"Documentation", "Source", "Issues", "Changelog"} <= labels
    assert found["Keywords"]
    assert len(found.get_all("Classifier")) > 8
    # A page of an index shows no picture of a relative address.
    text = found.get_content()
    assert "](docs/" not in text
    assert 'src="docs/' not in text
