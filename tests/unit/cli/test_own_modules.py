"""Our modules are found first, and the current directory is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from bottlepost.own_modules import NAMES, ROOT

PRINT_PATH = "import sys, bottlepost.own_modules as own; own.leave_current_directory()"


def python(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={"PYTHONPATH": f"{directory}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("form", ["file", "package", "folder"])
def test_ours_come_before_those_of_a_project(tmp_path: Path, form: str) -> None:
    for name in NAMES:
        if form == "file":
            (tmp_path / f"{name}.py").write_text("")
        else:
            (tmp_path / name).mkdir()
        if form == "package":
            (tmp_path / name / "__init__.py").write_text("")

    script = (
        "import bottlepost, config, models; print(config.__file__, models.__file__)"
    )
    done = python(tmp_path, "-c", script)

    assert done.stderr == ""
    assert all(Path(found).is_relative_to(ROOT) for found in done.stdout.split())


def test_one_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    place = tmp_path / "models.py"
    place.write_text("")

    done = python(tmp_path, "-c", "import models, bottlepost")

    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"bottlepost: the module 'models' is hidden by {place}")


def test_the_current_directory_is_left_but_a_chosen_one_stays(tmp_path: Path) -> None:
    done = python(tmp_path, "-c", f"{PRINT_PATH}; print(sys.path)")

    assert done.stdout.count(f"'{tmp_path}'") == 1
    assert "''" not in done.stdout
