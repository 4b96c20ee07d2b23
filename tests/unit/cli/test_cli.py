"""The command `bottlepost` finds its commands, and helps."""

import json

import click
import pytest
from click.testing import CliRunner

from bottlepost.cli import Commands, bottlepost


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
