"""Links between the pages lead somewhere."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.documents import blocks
from tests.support.paths import ROOT

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
PAGES = [*blocks.pages(), "CHANGELOG.md"]


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    text = FENCED.sub("", page.read_text())
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+)$", text, re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.lower())
        anchor = words.replace(" ", "-")
        # The second one of a name has a number.
        found.add(anchor if anchor not in found else f"{anchor}-1")
    return found


def links(page: str) -> list[str]:
    text = FENCED.sub("", (ROOT / page).read_text())
    return [link for link in LINK.findall(text) if "://" not in link]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    dead = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.resolve())):
            dead.append(link)

    assert not dead
