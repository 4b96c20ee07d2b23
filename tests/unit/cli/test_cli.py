"""The command `bottlepost` finds its commands, and helps."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bottlepost.cli import Commands, bottlepost, main
from tests.support.paths import ROOT


def _names() -> list[str]:
    assert isinstance(bottlepost, Commands)
    return bottlepost.list_commands(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", _names())
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(bottlepost, [name, "--help"])

    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: bottlepost {name}")
    # One sentence that says what it does.
    assert result.output.splitlines()[2].strip().endswith(".")


def test_every_part_of_a_group_has_help() -> None:
    context = click.Context(bottlepost)
    groups = {
        name: found
        for name in _names()
        if isinstance(found := bottlepost.get_command(context, name), click.Group)
    }

    silent = [
        (name, part)
        for name, group in groups.items()
        for part, each in group.commands.items()
        if not (each.help or "").partition("\n")[0].endswith((".", ","))
    ]

    assert {"user", "token", "device", "chat", "jobs"} <= groups.keys()
    assert silent == []


def test_an_unknown_command_is_told_with_status_2() -> None:
    result = CliRunner().invoke(bottlepost, ["swim"])

    assert result.exit_code == 2
    assert "No such command 'swim'" in result.output


def test_version_is_json_for_scripts() -> None:
    result = CliRunner().invoke(bottlepost, ["version", "--json"])

    assert set(json.loads(result.output)) == {"bottlepost", "python"}


class _Interrupted:
    """Ctrl-C while a module is searched."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "config.run_directory":
            raise KeyboardInterrupt


def test_an_interrupted_start_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "config.run_directory", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Interrupted(), *sys.meta_path])

    with pytest.raises(SystemExit) as ended:
        main(["version"])

    assert ended.value.code == 1
    assert capsys.readouterr().err == "Aborted!\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has it")
def test_output_that_nothing_takes_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bottlepost", "version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stderr) == (
        1,
        "bottlepost: No space left on device\n",
    )


def test_the_old_form_of_serve_takes_its_options() -> None:
    command = [sys.executable, str(ROOT / "server.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: bottlepost serve")
