"""The page of the commands names each of them."""

import re

from bottlepost.cli import Commands, bottlepost
from tests.support.paths import ROOT


def test_the_page_has_every_command() -> None:
    assert isinstance(bottlepost, Commands)
    page = (ROOT / "docs" / "commands.md").read_text()
    rows = re.findall(r"^\| `bottlepost ([a-z-]+)", page, re.MULTILINE)

    assert set(rows) == set(bottlepost.list_commands(None))  # type: ignore[arg-type]
