"""GET /docs: the OpenAPI document as a page."""

import json
from functools import cache
from typing import Any

from bottle import HTTPResponse

import api
from api import openapi
from web.page_request import PageRequest, page

# The heading of each group of operations, by its tag.
CHAPTERS = {
    "groupchat": "Messages",
    "chats": "Conversations and members",
    "accounts": "Users, tokens and devices",
    "kinds": "Kinds of notifications",
    "imports": "Imports",
    "jobs": "Jobs",
    "health": "Health",
    "metrics": "Metrics",
    "description": "API description",
}


def show(request: PageRequest) -> HTTPResponse:
    """The operations by chapter, and the schemas of their bodies."""
    document = _document()
    chapters: dict[str, list[tuple[str, str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            heading = CHAPTERS[operation["tags"][0]]
            chapters.setdefault(heading, []).append((method.upper(), path, operation))
    return page(
        "docs",
        title="API",
        chapters=chapters.items(),
        schemas=document["components"]["schemas"],
        describe=_describe,
        about=document["info"]["description"],
    )


@cache
def _document() -> dict[str, Any]:
    return openapi.document(api.DESCRIBED)


def _describe(schema: dict[str, Any]) -> str:
    """A JSON schema as short text."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_describe(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_describe(schema.get('items', {}))}"
    words = [str(schema.get("format") or schema.get("type", "anything"))]
    words += [f"{word} {schema[key]}" for key, word in LIMITS.items() if key in schema]
    return ", ".join(words)


LIMITS = {
    "minimum": "from",
    "maximum": "to",
    "minLength": "at least",
    "maxLength": "at most",
    "pattern": "like",
    "default": "default",
}
