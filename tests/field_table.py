"""Writes the table of all fields into docs/notifications.md.

    python -m tests.field_table

The rows are those that tests/unit/models/kinds/test_fields.py tests.
"""

from typing import NamedTuple

from tests.support.kind_fields import Elsewhere, Field, apple, browsers, common, google
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "notifications.md"
START = "<!-- fields: made by python -m tests.field_table -->"
END = "<!-- end of fields -->"
TEST = "test_field"
HEAD = "| Field | Platform | Rule | Wrong values are refused by | Test |"


class Section(NamedTuple):
    """A part of the table."""

    title: str
    # Who may refuse a wrong value, beside Bottlepost.
    provider: str
    # Whose fields they are, by the beginning of their paths; the longest counts.
    platforms: dict[str, str]
    fields: tuple[Field, ...]
    elsewhere: tuple[Elsewhere, ...]


SECTIONS = (
    Section(
        "Texts and mails",
        "",
        {"": "all", "email": "email", "patterns.de.email": "email"},
        common.FIELDS,
        common.ELSEWHERE,
    ),
    Section("Apple", "APNs", {"": "APNs"}, apple.FIELDS, apple.ELSEWHERE),
    Section(
        "Google",
        "FCM",
        {
            "fcm": "FCM",
            "fcm.android": "FCM, Android",
            "fcm.apns": "FCM, iPhone",
            "fcm.webpush": "FCM, browser",
        },
        google.FIELDS,
        google.ELSEWHERE,
    ),
    Section(
        "Browsers",
        "the browser or its push service",
        {"": "web push"},
        browsers.FIELDS,
        browsers.ELSEWHERE,
    ),
)
FIELDS = tuple(field for section in SECTIONS for field in section.fields)


def table() -> str:
    """The table in Markdown, section by section."""
    return "\n".join(_section(section) for section in SECTIONS)


def inserted(page: str) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{table()}\n{END}{after}"


def _section(section: Section) -> str:
    rows = [_row(section, field) for field in section.fields]
    rows += [_elsewhere(section, each) for each in section.elsewhere]
    return "\n".join(
        [f"### {section.title}", "", HEAD, "|---|---|---|---|---|", *rows, ""]
    )


def _row(section: Section, field: Field) -> str:
    about = f" ({field.about})" if field.about else ""
    cells = (
        f"`{field.path}`{about}",
        _platform(section, field.path),
        field.rule,
        _refused_by(section, field),
        f"`{TEST}[{field.name}]`",
    )
    return _line(cells)


def _elsewhere(section: Section, each: Elsewhere) -> str:
    path, _, name = each.test.partition("::")
    link = f"[{name}](../tests/{path})"
    platform = "email" if section.title == "Texts and mails" else section.provider
    platform = "web push" if section.title == "Browsers" else platform
    return _line((each.name, platform, each.rule, "no value of a kind", link))


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _platform(section: Section, path: str) -> str:
    fits = [
        start
        for start in section.platforms
        if not start or f"{path}.".startswith(f"{start}.")
    ]
    return section.platforms[max(fits, key=len)]


def _refused_by(section: Section, field: Field) -> str:
    if field.wrong and field.unseen:
        return f"Bottlepost, most also by {section.provider}"
    if field.wrong:
        return f"Bottlepost and {section.provider}"
    return "Bottlepost" if field.unseen else "none is wrong"


if __name__ == "__main__":
    PAGE.write_text(inserted(PAGE.read_text()))
