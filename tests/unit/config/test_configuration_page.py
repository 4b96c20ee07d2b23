"""docs/configuration.md lists every setting with its real default."""

import dataclasses
import re
from pathlib import Path

import pytest

import config
from config import Settings
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "configuration.md"
ROW = re.compile(r"^\| `(BOTTLEPOST_\w+)` \| ([^|]+) \| .+\|$", re.M)
# Documented in words, because they depend on the machine or have no default.
IN_WORDS = {
    "BOTTLEPOST_RUN_DIR",
    "BOTTLEPOST_SERVICE_KEY",
    "BOTTLEPOST_PUSH_SLOTS",
    *config.SANDBOX_VARIABLES,
}


def _documented() -> dict[str, str]:
    """Variable → the default on the page."""
    return dict(ROW.findall(PAGE.read_text()))


def _shown(value: object) -> str:
    if value is None:
        return "(none)"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_the_page_lists_exactly_the_settings() -> None:
    fields = {field.name.upper() for field in dataclasses.fields(Settings)}

    settings = {f"BOTTLEPOST_{name}" for name in fields}

    assert _documented().keys() == settings | config.SANDBOX_VARIABLES


@pytest.mark.parametrize("variable", sorted(_documented().keys() - IN_WORDS))
def test_the_page_has_the_real_default(variable: str, tmp_path: Path) -> None:
    settings = config.from_env(
        {"BOTTLEPOST_RUN_DIR": str(tmp_path), "BOTTLEPOST_SERVICE_KEY": "x" * 16}
    )

    default = getattr(settings, variable.removeprefix("BOTTLEPOST_").lower())

    assert _shown(default).replace(str(tmp_path), "RUN_DIR") == _documented()[variable]
