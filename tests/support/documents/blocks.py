"""Finds the fenced blocks of a page, and what is said about each."""

import re
from dataclasses import dataclass

from tests.support.paths import ROOT

FENCE = re.compile(r"^( *)```(\S*)\s*$")
COMMENT = re.compile(r"^\s*<!-- (.+) -->\s*$")
NOTE = re.compile(r"(not run|answer to|sent|body of|schema of|file): (.+)", re.DOTALL)
COMMANDS = ("sh", "console")
# Languages of what is no command and no JSON; a reader sees that, too.
OTHERS = ("text", "swift", "kotlin", "yaml", "csv", "sql", "nginx", "ini")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str
    # What the comment in front of it says: a verb and what follows it.
    verb: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_left_out(self) -> bool:
        return self.verb == "not run"


def pages() -> list[str]:
    found = sorted(path.relative_to(ROOT) for path in ROOT.glob("docs/*.md"))
    return ["README.md", "CONTRIBUTING.md", *map(str, found)]


def of(page: str) -> list[Block]:
    """The blocks of a page in their order."""
    found: list[Block] = []
    lines = (ROOT / page).read_text().splitlines()
    begin: int | None = None
    language = verb = note = ""
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if fence and begin is None:
            begin, language = number, fence[2]
            verb, note = _note(lines[number - 2]) if number > 1 else ("", "")
        elif fence and begin is not None:
            text = "\n".join(lines[begin : number - 1])
            found.append(Block(page, begin, language, text, verb, note))
            begin = None
    assert begin is None, f"{page}:{begin}: a block without an end"
    return found


def _note(line: str) -> tuple[str, str]:
    comment = COMMENT.match(line)
    note = NOTE.fullmatch(comment[1]) if comment else None
    return (note[1], note[2].strip()) if note else ("", "")
