"""From the bytes of an upload to checked rows, and a word on every bad line."""

import csv
from collections.abc import Callable, Iterable, Iterator

from pydantic import TypeAdapter, ValidationError

from api.schemas import said
from api.schemas.imports import COLUMNS, AnyRow
from api.uploads import CSV
from models.errors import Invalid
from models.imports import Problem, Row

# Four times the longest device token.
LONGEST_LINE = 16 * 1024
LONGEST_FIELD = 100
LONGEST_MESSAGE = 200

# A line's number, counted from 1, and what is on it; None when it is too long.
Line = tuple[int, bytes | None]
Parse = Callable[[bytes], AnyRow]

_rows: TypeAdapter[AnyRow] = TypeAdapter(AnyRow)


def read(media_type: str, pieces: Iterable[bytes]) -> Iterator[Row | Problem]:
    """What is on each line that is not blank; raises Invalid for a bad CSV header."""
    numbered = lines(pieces)
    parse = _csv_parser(numbered) if media_type == CSV else _rows.validate_json
    for number, line in numbered:
        if line is None:
            message = f"is longer than {LONGEST_LINE:,} bytes"
            yield Problem(number, "", message)
        elif line.strip():
            yield _read_line(number, line, parse)


def lines(pieces: Iterable[bytes]) -> Iterator[Line]:
    """Of a line that is too long no more than that is kept."""
    number, rest, is_too_long = 1, b"", False
    for piece in pieces:
        *ends, rest = (rest + piece).split(b"\n")
        for line in ends:
            is_too_long = is_too_long or len(line) > LONGEST_LINE
            yield number, None if is_too_long else _unmarked(number, line)
            number, is_too_long = number + 1, False
        if len(rest) > LONGEST_LINE:
            rest, is_too_long = b"", True
    if rest or is_too_long:
        yield number, None if is_too_long else _unmarked(number, rest)


def _unmarked(number: int, line: bytes) -> bytes:
    """Without the byte order mark that spreadsheets put in front."""
    return line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _read_line(number: int, line: bytes, parse: Parse) -> Row | Problem:
    try:
        row = parse(line)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False)[0]
        # A row's own fields are found below the name of its type.
        field = ".".join(map(str, first["loc"][1:]))
        return Problem(number, _clean(field, LONGEST_FIELD), _clean(said(first)))
    except (UnicodeDecodeError, csv.Error) as problem:
        return Problem(number, "", _clean(f"cannot be read: {problem}"))
    values = row.model_dump(mode="json", exclude_none=True, exclude={"type"})
    return Row(number, row.type, values)


def _clean(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """It may quote the line, and the line may be anything."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:longest])


def _csv_parser(numbered: Iterator[Line]) -> Parse:
    """Reads the header, and returns what reads the lines that follow."""
    header = next((line for _, line in numbered if line is None or line.strip()), None)
    try:
        columns = _cells(header or b"")
    except (UnicodeDecodeError, csv.Error):
        columns = []
    if not columns:
        raise Invalid("The first line must name the columns.")
    if unknown := sorted(set(columns) - COLUMNS):
        shown = [_clean(name, LONGEST_FIELD) for name in unknown[:20]]
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
    """A line is a row: a quoted cell that goes on in the next line is refused."""
    return next(csv.reader([line.decode().rstrip("\r")], strict=True), [])
