"""What commands print: tables for people, JSON for scripts, and progress bars.

Each command that prints data takes `@as_json` and an `Output`. Data goes to stdout;
progress and remarks go to stderr, so that the output of a command can be piped.

Names and reasons were written by others, and a terminal obeys control characters. So
all of these are escaped, and a line stays a line.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from bottlepost.logs.lines import ESCAPED
from models.base import utc_text

C = TypeVar("C", bound=Callable[..., Any])
# Of a table that is no terminal's: wide enough that no cell is broken.
WIDTH_OF_A_FILE = 1000
# JSON itself escapes the others.
_IN_JSON = {number: f"\\u{number:04x}" for number in ESCAPED if number >= 0x7F}

as_json: Callable[[C], C] = click.option(
    "--json", "is_json", is_flag=True, help="Print JSON, for scripts."
)


class Output:
    """Prints rows and records as a person or as a script wants them."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = WIDTH_OF_A_FILE

    def rows(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Print a list; `columns` are keys of the rows and, in capitals, the head."""
        if self._is_json:
            click.echo(_json(rows))
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.replace("_", " ").upper(), overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row.get(column)) for column in columns))
        self._console.print(table)

    def record(self, record: Mapping[str, Any]) -> None:
        """Print one thing, a line for each of its keys."""
        if self._is_json:
            click.echo(_json(record))
            return
        widest = max(map(len, record), default=0)
        for key, value in record.items():
            click.echo(f"{key.replace('_', ' '):{widest}}  {_text(value)}")

    def done(self, sentence: str, **facts: Any) -> None:
        """Say what was done: a sentence for people, the facts as JSON for scripts."""
        click.echo(_json(facts) if self._is_json else sentence)


def _cell(value: Any) -> Text:
    # Text, because names may contain brackets, which are markup in a string.
    return Text(_text(value))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(str(value))


def plain(text: str) -> str:
    """The text without what would begin a line or command a terminal."""
    return text.translate(ESCAPED)


def _json(value: Any) -> str:
    return json.dumps(value, default=_as_json, ensure_ascii=False).translate(_IN_JSON)


def _as_json(value: Any) -> str:
    """Times as the API writes them."""
    if isinstance(value, datetime):
        return utc_text(value)
    return str(value)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal for long work; call what it gives with the steps done.

    `total` may be unknown. Nothing is drawn where stderr is no terminal.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        # The one thing to see where the total is unknown.
        MofNCompleteColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)


def confirm(question: str) -> None:
    """Ask on stderr, because stdout is data; anything but yes ends the command."""
    click.confirm(plain(question), abort=True, err=True)


def fail(reason: str) -> NoReturn:
    """End the command with status 1 and one line."""
    click.echo(f"bottlepost: {plain(reason)}", err=True)
    raise SystemExit(1)
