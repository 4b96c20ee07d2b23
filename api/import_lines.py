"""Parses an upload into valid rows, and a problem for each bad line."""

import csv
from collections.abc import Callable, Iterable, Iterator

from pydantic import TypeAdapter, ValidationError

from api.schemas import message_of
from api.schemas.imports import COLUMNS, AnyRow
from api.uploads import CSV
from models.errors import Invalid
from models.imports import Problem, Row

# Four times the longest device token.
MAX_LINE = 16 * 1024
MAX_FIELD = 100
MAX_MESSAGE = 200

# A line's number, starting at 1, and its content; None if it is too long.
Line = tuple[int, bytes | None]
Parse = Callable[[bytes], AnyRow]

_rows: TypeAdapter[AnyRow] = TypeAdapter(AnyRow)


def read(media_type: str, pieces: Iterable[bytes]) -> Iterator[Row | Problem]:
    """Parse the lines that are not blank; raises Invalid for a bad CSV header."""
    numbered = lines(pieces)
    parse = _csv_parser(numbered) if media_type == CSV else _rows.validate_json
    for number, line in numbered:
        if line is None:
            message = f"is longer than {MAX_LINE:,} bytes"
            yield Problem(number, "", message)
        elif line.strip():
            yield _read_line(number, line, parse)


def lines(pieces: Iterable[bytes]) -> Iterator[Line]:
    """Split the pieces into lines; over-long lines are not buffered."""
    number, rest, is_too_long = 1, b"", False
    for piece in pieces:
        *ends, rest = (rest + piece).split(b"\n")
        for line in ends:
            is_too_long = is_too_long or len(line) > MAX_LINE
            yield number, None if is_too_long else _without_bom(number, line)
            number, is_too_long = number + 1, False
        if len(rest) > MAX_LINE:
            rest, is_too_long = b"", True
    if rest or is_too_long:
        yield number, None if is_too_long else _without_bom(number, rest)


def _without_bom(number: int, line: bytes) -> bytes:
    """Remove the byte order mark that spreadsheets write before the first line."""
    return line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _read_line(number: int, line: bytes, parse: Parse) -> Row | Problem:
    try:
        row = parse(line)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        # The first part of `loc` is the row's type.
        field = ".".join(map(str, first["loc"][1:]))
        return Problem(number, _clean(field, MAX_FIELD), _clean(message_of(first)))
    except (UnicodeDecodeError, csv.Error) as problem:
        return Problem(number, "", _clean(f"cannot be read: {problem}"))
    values = row.model_dump(mode="json", exclude_none=True, exclude={"type"})
    return Row(number, row.type, values)


def _clean(text: str, max_length: int = MAX_MESSAGE) -> str:
    """Shorten the text and replace control characters; it may quote the line."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:max_length])


def _csv_parser(numbered: Iterator[Line]) -> Parse:
    """Read the header, and return a parser for the following lines."""
    header = next((line for _, line in numbered if line is None or line.strip()), None)
    try:
        columns = _cells(header or b"")
    except (UnicodeDecodeError, csv.Error):
        columns = []
    if not columns:
        raise Invalid("The first line must name the columns.")
    if unknown := sorted(set(columns) - COLUMNS):
        shown = [_clean(name, MAX_FIELD) for name in unknown[:20]]
        names = ", ".join(shown)
        raise Invalid(f"The first line names unknown columns: {names}.", columns=shown)
    if len(set(columns)) < len(columns):
        raise Invalid("The first line names a column twice.")

    def parse(line: bytes) -> AnyRow:
        cells = _cells(line)
        if len(cells) > len(columns):
            raise csv.Error(f"it has {len(cells)} cells for {len(columns)} columns")
        filled = zip(columns, cells, strict=False)
        return _rows.validate_python({name: cell for name, cell in filled if cell})

    return parse


def _cells(line: bytes) -> list[str]:
    """The cells of a line; a quoted cell with a line break is refused."""
    return next(csv.reader([line.decode().rstrip("\r")], strict=True), [])
