"""Finds the commands of `bottlepost`, and ends each with one line if it fails.

Status 0: done. 1: it could not be done, or what was checked is not right. 2: the call
or a setting is wrong.
"""

import logging
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from bottlepost import commands, own_modules

log = logging.getLogger(__name__)


class Commands(click.Group):
    """The files of `bottlepost.commands`, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = pkgutil.iter_modules(commands.__path__)
        return sorted(module.name.replace("_", "-") for module in found)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
        found: click.Command = module.command
        return found


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
def bottlepost() -> None:
    """Group chat that answers at once and pushes behind the answer."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name, by default those of this process."""
    own_modules.leave_current_directory()
    try:
        _run(arguments)
    except KeyboardInterrupt:
        # As click ends a command; this one came while modules were imported.
        _end("Aborted!", 1)
    except OSError as problem:
        # A full disk, for example; the output may be a file on it.
        log.debug("the command ends", exc_info=problem)
        where = "" if problem.filename is None else f": {problem.filename}"
        _end(f"bottlepost: {problem.strerror or problem}{where}", 1)


def _run(arguments: Sequence[str] | None) -> None:
    # Imported here, because it takes long enough to be interrupted.
    config = import_module("config")
    config.environment.keep_children_out_of_current_directory()
    import_module("config.run_directory").keep_private()
    try:
        bottlepost(arguments, prog_name="bottlepost")
    except config.SettingsError as problem:
        _end(f"bottlepost: {problem}", 2)


def _end(words: str, status: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        # Else Python would try it again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(words, file=sys.stderr)
    sys.exit(status)
