"""GET /openapi.json and GET /docs: the API described by itself."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import web
from api import openapi
from api.auth import Who
from api.call import Answer, Call, Page
from api.routing import Route
from api.visit import POLICY

# A heading for each kind of operation.
CHAPTERS = {
    "groupchat": "Messages",
    "chats": "Conversations and members",
    "accounts": "Users, tokens and devices",
    "imports": "Imports",
    "jobs": "Pushes on their way",
    "health": "Health",
    "metrics": "Metrics",
    "description": "This description",
}


class Json(Page):
    content_type = "application/json"


class Html(Page):
    content_type = "text/html; charset=utf-8"


def routes_about(routes: Sequence[Route]) -> tuple[Route, ...]:
    """The two routes that describe the others; made at the first request."""

    @cache
    def document() -> dict[str, Any]:
        return openapi.document(routes)

    @cache
    def page() -> Html:
        return _page(document())

    def description(call: Call) -> Answer[Json]:
        """This API as an OpenAPI 3.1 document."""
        return Answer(200, Json(json.dumps(document()).encode()))

    def docs(call: Call) -> Answer[Html]:
        """This API as a page for people."""
        return Answer(200, page())

    return (
        Route("GET", "/openapi.json", description, Who.ANYONE),
        Route("GET", "/docs", docs, Who.ANYONE),
    )


def _page(document: dict[str, Any]) -> Html:
    chapters: dict[str, list[tuple[str, str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            heading = CHAPTERS[operation["tags"][0]]
            chapters.setdefault(heading, []).append((method.upper(), path, operation))
    html = web.render(
        "docs",
        title="API",
        chapters=chapters.items(),
        schemas=document["components"]["schemas"],
        describe=_describe,
        about=document["info"]["description"],
    )
    return Html(html, {"Content-Security-Policy": POLICY})


def _describe(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
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
