"""The units of systemd: their commands exist, and systemd understands them."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from bottlepost.cli import bottlepost
from tests.support.paths import ROOT

Tool = Callable[[str], str]
UNITS = sorted((ROOT / "deploy/systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
BIN = "/opt/bottlepost/bin/bottlepost"
# As sandboxed as `systemd-analyze security` calls OK.
MOST_EXPOSED = 20


def section(unit: Path, name: str) -> dict[str, list[str]]:
    """The settings of a section, each as often as it is there."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().partition(f"[{name}]\n")[2].splitlines():
        if line.startswith("["):
            break
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.deploy
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_command_exists(unit: Path) -> None:
    [start] = section(unit, "Service")["ExecStart"]
    [arguments] = re.findall(rf"{BIN} ([^']+)", start)
    name, *_ = shlex.split(arguments)

    assert bottlepost.get_command(click.Context(bottlepost), name) is not None


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_units_share_user_key_and_run_directory(unit: Path) -> None:
    ours = section(unit, "Service")
    of_server = section(ROOT / "deploy/systemd/bottlepost.service", "Service")

    shared = [
        key
        for key in of_server
        if not key.startswith(("Exec", "Restart", "Timeout", "Limit", "Type"))
    ]
    assert {key: ours.get(key) for key in shared} == {
        key: of_server[key] for key in shared
    }


@pytest.mark.parametrize(
    "unit", [unit for unit in UNITS if unit.suffix == ".timer"], ids=lambda u: u.name
)
def test_each_timer_has_its_service(unit: Path) -> None:
    assert unit.with_suffix(".service") in SERVICES


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units with a program that is there, because systemd looks for it."""
    directory = tmp_path_factory.mktemp("units")
    program = directory / "bottlepost"
    shutil.copy("/bin/true", program)
    for unit in UNITS:
        (directory / unit.name).write_text(unit.read_text().replace(BIN, str(program)))
    return directory


@pytest.mark.deploy
def test_systemd_finds_no_fault(tool: Tool, installed: Path) -> None:
    analyze = tool("systemd-analyze")

    for unit in UNITS:
        name = unit.name.replace("@.", "@polling.")
        path = installed / name
        if not path.exists():
            path.symlink_to(installed / unit.name)
        done = _run([analyze, "verify", "--recursive-errors=no", str(path)])
        # It also tells about units of the machine.
        told = [line for line in done.stderr.splitlines() if "bottlepost" in line]
        assert (done.returncode, told) == (0, []), unit.name


@pytest.mark.deploy
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_services_are_well_sandboxed(tool: Tool, unit: Path) -> None:
    threshold = f"--threshold={MOST_EXPOSED}"

    done = _run(
        [tool("systemd-analyze"), "security", "--offline=yes", threshold, str(unit)]
    )

    assert done.returncode == 0, done.stdout[-300:]


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    )
