"""Reads the texts of the settings from the environment's variables."""

import os
from collections.abc import Iterable, Mapping

from config.setting_types import content

PREFIX = "BOTTLEPOST_"


class SettingsError(Exception):
    """A variable of the environment is missing or wrong; the message names it."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable} {problem}")
        self.variable = variable


def variable(setting: str) -> str:
    return PREFIX + setting.upper()


def texts(
    environ: Mapping[str, str], settings: Iterable[str], *, others: frozenset[str]
) -> dict[str, str]:
    """The text of each setting that is set; an empty one counts as not set.

    Raises SettingsError for an unknown variable with our prefix, because a misspelt
    one would leave its setting at the default; `others` are allowed.
    """
    found: dict[str, str] = {}
    known = set(others)
    for setting in settings:
        name = variable(setting)
        # A setting that is itself a path ends in _FILE and has no second form.
        name_of_file = None if name.endswith("_FILE") else f"{name}_FILE"
        known |= {name, name_of_file or name}
        if text := _text(environ, name, name_of_file):
            found[setting] = text
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            raise SettingsError(name, "is not a setting of Bottlepost")
    return found


def _text(environ: Mapping[str, str], name: str, name_of_file: str | None) -> str:
    """The variable's value, or the content of the file that NAME_FILE points to."""
    text = environ.get(name, "").strip()
    path = environ.get(name_of_file, "") if name_of_file else ""
    if not path:
        return text
    if text:
        raise SettingsError(name, f"and {name_of_file} are both set")
    try:
        return content(path)
    except ValueError as problem:
        raise SettingsError(str(name_of_file), str(problem)) from None


def keep_children_out_of_current_directory() -> None:
    """Have no Python that this process starts import from the current directory."""
    os.environ["PYTHONSAFEPATH"] = "1"
