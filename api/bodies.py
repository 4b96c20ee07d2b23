"""Reading and checking what a client sent; it may be anything."""

from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import ValidationError

from api.schemas import In, said
from models.errors import CallerError, Invalid, TooLarge, UnsupportedType

BODY_LIMIT = 64 * 1024
# 200,000 ids of 19 digits with their commas.
MEMBERS_BODY_LIMIT = 4 * 1024 * 1024
MOST_PROBLEMS = 20

Schema = TypeVar("Schema", bound=In)


def read_json(environ: dict[str, Any], schema: type[Schema], limit: int) -> Schema:
    """The body as the schema's object; an empty one counts as {}."""
    body = _read(environ, limit)
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if body and media_type != "application/json":
        raise UnsupportedType
    try:
        return schema.model_validate_json(body or b"{}")
    except ValidationError as problem:
        raise _invalid(problem) from None


def read_form(environ: dict[str, Any], limit: int = BODY_LIMIT) -> dict[str, str]:
    """The fields of a form that were filled in."""
    try:
        pairs = parse_qsl(_read(environ, limit).decode(), max_num_fields=20)
    except ValueError:
        raise Invalid("The form cannot be read.") from None
    return dict(pairs)


def from_form(form: dict[str, str], schema: type[Schema]) -> Schema:
    """The same as from JSON, for numbers and yes or no come as text."""
    try:
        return schema.model_validate_strings(form)
    except ValidationError as problem:
        raise _invalid(problem) from None


def read_query(environ: dict[str, Any], schema: type[Schema]) -> Schema:
    try:
        pairs = parse_qsl(
            environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=20
        )
        return schema.model_validate(dict(pairs))
    except ValidationError as problem:
        raise _invalid(problem) from None
    except ValueError:
        raise Invalid("The query has too many parameters.") from None


def _read(environ: dict[str, Any], limit: int) -> bytes:
    stated = environ.get("CONTENT_LENGTH") or ""
    if not stated and not environ.get("wsgi.input_terminated"):
        if environ.get("HTTP_TRANSFER_ENCODING"):
            raise CallerError("This server needs a Content-Length.")
        return b""
    if stated and not (stated.isascii() and stated.isdigit()):
        raise CallerError("The Content-Length is not a number.")
    # The length of the text is checked first: int() of very many digits is slow.
    if len(stated) > 18 or int(stated or 0) > limit:
        raise TooLarge(limit=limit)
    body = _receive(environ["wsgi.input"], int(stated) if stated else limit + 1)
    if len(body) > limit:
        raise TooLarge(limit=limit)
    if stated and len(body) < int(stated):
        raise CallerError("The body ended early.")
    return body


def _receive(stream: Any, size: int) -> bytes:
    try:
        return bytes(stream.read(size))
    except OSError:
        raise CallerError("The body could not be received.") from None


def _invalid(problem: ValidationError) -> Invalid:
    found = problem.errors(include_url=False, include_context=False)[:MOST_PROBLEMS]
    problems = [
        {"field": ".".join(map(str, each["loc"]))[:100], "problem": said(each)}
        for each in found
    ]
    first = problems[0]
    where = f"{first['field']}: " if first["field"] else ""
    return Invalid(f"{where}{first['problem']}", problems=problems)
