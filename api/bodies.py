"""Reads and validates JSON bodies, forms and queries."""

from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import ValidationError

from api import stream
from api.schemas import In, message_of
from models.errors import (
    CallerError,
    Invalid,
    LengthRequired,
    TooLarge,
    UnsupportedType,
)

BODY_LIMIT = 64 * 1024
# Enough for 200,000 ids of 19 digits, with commas.
MEMBERS_BODY_LIMIT = 4 * 1024 * 1024
MAX_PROBLEMS = 20
# To list hundreds of thousands of problems takes seconds, and only 20 are shown.
MAX_COUNTED = 1000

Schema = TypeVar("Schema", bound=In)


def read_json(environ: dict[str, Any], schema: type[Schema], limit: int) -> Schema:
    """The body as an object of the schema; an empty body counts as {}."""
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
    # A truncated form is still a valid form, unlike a truncated JSON document.
    if stream.is_chunked(environ):
        raise LengthRequired
    try:
        pairs = parse_qsl(_read(environ, limit).decode(), max_num_fields=20)
    except ValueError:
        raise Invalid("The form cannot be read.") from None
    return dict(pairs)


def from_form(form: dict[str, str], schema: type[Schema]) -> Schema:
    """The form as an object of the schema; converts numbers and booleans."""
    try:
        return schema.model_validate_strings(form)
    except ValidationError as problem:
        raise _invalid(problem) from None


def read_query(environ: dict[str, Any], schema: type[Schema]) -> Schema:
    """The query string as an object of the schema."""
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
    length, is_chunked = stream.content_length(environ), stream.is_chunked(environ)
    if length is None and not stream.is_terminated(environ):
        if is_chunked:
            raise LengthRequired
        return b""
    if (length or 0) > limit:
        raise TooLarge(limit=limit)
    body = stream.receive(environ, limit + 1 if length is None else length)
    if len(body) > limit:
        raise TooLarge(limit=limit)
    # An empty chunked body is probably truncated, and would count as {}.
    min_length = int(is_chunked) if length is None else length
    if len(body) < min_length:
        raise CallerError("The body ended early.")
    return body


def _invalid(problem: ValidationError) -> Invalid:
    if problem.error_count() > MAX_COUNTED:
        return Invalid("The body has too many problems to list.", problems=[])
    found = problem.errors(include_url=False)[:MAX_PROBLEMS]
    problems = [
        {"field": ".".join(map(str, each["loc"]))[:100], "problem": message_of(each)}
        for each in found
    ]
    first = problems[0]
    where = f"{first['field']}: " if first["field"] else ""
    return Invalid(f"{where}{first['problem']}", problems=problems)
