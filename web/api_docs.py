"""GET /docs: the OpenAPI document as a page."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from bottle import HTTPResponse

import api
from api import errors, openapi
from web.page_request import PageRequest, page

# A field of a field of a field is enough for every body.
DEEPEST = 3
# A limit of the databases, which nobody reaches.
ENDLESS = 10**15


class Field(NamedTuple):
    """A line of the table of a body: `name` is a path such as `messages[].id`."""

    name: str
    type: str
    is_required: bool
    description: str


class Body(NamedTuple):
    """A request or a response in one media type."""

    media_type: str
    description: str
    example: str
    fields: list[Field]


class Operation(NamedTuple):
    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    requests: list[Body]
    # The bodies of the successes, with their statuses.
    responses: list[tuple[str, str, Body | None]]
    # The statuses of errors; what they mean is in one table.
    failures: list[str]


class Chapter(NamedTuple):
    id: str
    title: str
    description: str
    operations: list[Operation]


class Failure(NamedTuple):
    """A line of the table of errors."""

    status: int
    reason: str
    codes: list[tuple[str, str]]


def show(request: PageRequest) -> HTTPResponse:
    """The operations by chapter, with the schemas of their bodies."""
    return page(
        "docs",
        title="API",
        chapters=_chapters(),
        failures=_failures(),
        error_example=_pretty(openapi.ERROR_EXAMPLE),
        describe=_describe,
        about=_document()["info"]["description"],
    )


@cache
def _document() -> dict[str, Any]:
    return openapi.document(api.DESCRIBED)


@cache
def _chapters() -> list[Chapter]:
    document = _document()
    operations: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            chapter = operations.setdefault(operation["tags"][0], [])
            chapter.append(_operation(method.upper(), path, operation))
    return [
        Chapter(tag["name"], tag["x-displayName"], tag["description"], operations[name])
        for tag in document["tags"]
        if (name := tag["name"])
    ]


def _operation(method: str, path: str, operation: dict[str, Any]) -> Operation:
    request = operation.get("requestBody", {}).get("content", {})
    successes, failures = [], []
    for status, response in operation["responses"].items():
        if "$ref" in response:
            failures.append(status)
            continue
        bodies = [_body(*each) for each in response.get("content", {}).items()]
        body = bodies[0] if bodies else None
        successes.append((status, response["description"], body))
    # The same body is shown once.
    for number in range(1, len(successes)):
        status, description, body = successes[number]
        if body == successes[0][2]:
            successes[number] = (status, description, None)
    return Operation(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        description=operation["description"],
        parameters=operation["parameters"],
        requests=[_body(*each) for each in request.items()],
        responses=successes,
        failures=failures,
    )


def _body(media_type: str, content: dict[str, Any]) -> Body:
    example = content["example"]
    schema = _resolved(content["schema"])
    return Body(
        media_type=media_type,
        description=schema.get("description", ""),
        example=example if isinstance(example, str) else _pretty(example),
        fields=list(_fields(schema)),
    )


def _pretty(example: Any) -> str:
    return json.dumps(example, indent=2, ensure_ascii=False)


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself in place of a reference."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = _document()["components"]["schemas"].get(name, schema)
    return found


def _fields(
    schema: dict[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        path = prefix + name
        inner, brackets = _inner(value)
        description = value.get("description") or inner.get("description", "")
        yield Field(path, _describe(value), name in required, description)
        if depth < DEEPEST:
            yield from _fields(inner, f"{path}{brackets}.", depth + 1)


def _inner(value: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The schema of the objects in a value; brackets if it is a list of them."""
    choices = [_resolved(each) for each in value.get("anyOf", [value])]
    for each in choices:
        if each.get("type") == "array":
            return _resolved(each.get("items", {})), "[]"
        if "properties" in each:
            return each, ""
    return {}, ""


def _describe(schema: dict[str, Any]) -> str:
    """A JSON schema as short text."""
    if "$ref" in schema:
        return "object"
    if "anyOf" in schema:
        return " or ".join(_describe(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("type") == "array":
        length = _range(schema, "minItems", "maxItems", " entries")
        name = f"list ({length})" if length else "list"
        return f"{name} of {_describe(schema.get('items', {}))}"
    words = [str(schema.get("format") or schema.get("type", "anything"))]
    words += filter(None, [_range(schema, "minimum", "maximum", "")])
    words += filter(None, [_range(schema, "minLength", "maxLength", " characters")])
    words += [
        f"{word} {schema[key]}"
        for key, word in (("pattern", "like"), ("default", "default"))
        if schema.get(key) is not None
    ]
    return ", ".join(words)


def _range(schema: dict[str, Any], least: str, most: str, unit: str) -> str:
    low, high = schema.get(least), schema.get(most)
    has_end = high is not None and high < ENDLESS
    if has_end and low is not None:
        return f"{low:,} to {high:,}{unit}"
    if has_end:
        return f"at most {high:,}{unit}"
    return "" if low is None else f"from {low:,}{unit}"


@cache
def _failures() -> list[Failure]:
    codes: dict[int, list[tuple[str, str]]] = {
        status: [(failure.code, failure.reason)]
        for status, failure in openapi.FAILURES.items()
    }
    for kind, status in errors.STATUS.items():
        known = codes.setdefault(status, [])
        if kind.code not in [code for code, _ in known]:
            known.append((kind.code, kind.__doc__ or ""))
    return [
        Failure(status, failure.reason, codes[status])
        for status, failure in openapi.FAILURES.items()
    ]
