"""Builds the OpenAPI document from the routes and schemas that serve the API."""

import re
from collections.abc import Iterable
from typing import Any, get_args, get_type_hints

from pydantic.json_schema import models_json_schema

from api import uploads
from api.auth import Access
from api.routing import ID_DIGITS, NAME, Route
from api.schemas import In, Out

SCHEMAS = "#/components/schemas/"
JSON = "application/json"
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {"type": "string", "description": "For programs."},
                "message": {"type": "string", "description": "For people."},
                "details": {"type": "object"},
            },
        }
    },
}
REASONS = {
    400: "The request is not valid.",
    401: "A valid bearer token is needed.",
    403: "The caller may not do this.",
    404: "It does not exist, or the caller may not see it.",
    405: "The address does not support the method.",
    409: "The request conflicts with existing data.",
    411: "The request needs a Content-Length.",
    413: "The body is too large.",
    415: "The body has the wrong Content-Type.",
    429: "Too many requests; wait as long as Retry-After says.",
    500: "A bug in the server; its log has the details under the incident's number.",
    503: "The database does not answer; try again after Retry-After.",
}


# Generated clients already use these names.
TAGS = {"messages": "groupchat", "deletions": "accounts", "exports": "accounts"}
OPERATION_IDS = {
    "groupchat_delete": "groupchat_take_back",
    "accounts_change_user": "accounts_rename_user",
    "accounts_show": "accounts_show_deletion",
}


def document(routes: Iterable[Route], server: str = "/") -> dict[str, Any]:
    """An OpenAPI 3.1 document of the server at that address."""
    routes = list(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        methods = paths.setdefault(route.path_template, {})
        methods[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bottlepost",
            "version": "1",
            "description": "Group chat that answers at once and pushes afterwards.",
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": {**_schemas(routes), "Error": ERROR},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    summary, _, more = (route.handler.__doc__ or "").strip().partition("\n")
    module = route.handler.__module__.rpartition(".")[2]
    tag = TAGS.get(module, module)
    operation_id = f"{tag}_{route.handler.__name__}"
    hints = get_type_hints(route.handler)
    operation: dict[str, Any] = {
        "operationId": OPERATION_IDS.get(operation_id, operation_id),
        "tags": [tag],
        "summary": summary.rstrip("."),
        "description": _with_callers(route.access, " ".join(more.split())),
        "parameters": [*_path_parameters(route), *_query_parameters(hints)],
        "security": [] if route.access is Access.ANYONE else [{"token": []}],
        "responses": _responses(route, hints),
    }
    if body := hints.get("body"):
        schema = {"$ref": SCHEMAS + body.__name__}
        operation["requestBody"] = {
            "required": any(
                field.is_required() for field in body.model_fields.values()
            ),
            "content": {JSON: {"schema": schema}},
        }
    if "upload" in hints:
        text = {"schema": {"type": "string"}}
        content = dict.fromkeys(uploads.MEDIA_TYPES, text)
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _with_callers(access: Access, description: str) -> str:
    callers = {
        Access.ANYONE: "Needs no token.",
        Access.USER: "Needs the token of a user.",
        Access.SERVICE: "Needs the service key.",
        Access.USER_OR_SERVICE: "Needs the token of a user or the service key.",
    }
    return f"{description} {callers[access]}".strip()


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    schemas = {
        "id": {"type": "integer", "minimum": 1, "maximum": 10**ID_DIGITS - 1},
        NAME: {"type": "string", "minLength": 1, "maxLength": 200},
    }
    return [
        {"name": name, "in": "path", "required": True, "schema": schemas[kind]}
        for name, kind in re.findall(r"<(\w+):(\w+)>", route.path)
    ]


def _query_parameters(hints: dict[str, Any]) -> list[dict[str, Any]]:
    if "query" not in hints:
        return []
    schema = hints["query"].model_json_schema(ref_template=SCHEMAS + "{model}")
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": field.pop("description", ""),
            "schema": _without_null(field),
        }
        for name, field in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query can omit a parameter, but it cannot contain null."""
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return choices[0] if len(choices) == 1 else schema


def _responses(route: Route, hints: dict[str, Any]) -> dict[str, Any]:
    (body,) = get_args(hints["return"])
    success: dict[str, Any] = {"description": "Success."}
    if body is not type(None):
        content_type = getattr(body, "content_type", JSON)
        is_schema = issubclass(body, Out)
        schema = {"$ref": SCHEMAS + body.__name__} if is_schema else {}
        success["content"] = {content_type: {"schema": schema}}
    responses = {str(status): dict(success) for status in route.statuses}
    if len(route.statuses) > 1:
        responses["200"]["description"] = "It existed already."
    for status in _error_statuses(route, hints):
        responses[str(status)] = {
            "description": REASONS[status],
            "content": {JSON: {"schema": {"$ref": SCHEMAS + "Error"}}},
        }
    return responses


def _error_statuses(route: Route, hints: dict[str, Any]) -> list[int]:
    statuses = {404, 405, 500, 503}
    if hints.keys() & {"body", "upload"}:
        statuses |= {400, 409, 411, 413, 415, 429}
    if "query" in hints:
        statuses |= {400}
    if route.method == "DELETE":
        statuses |= {409}
    if route.access is not Access.ANYONE:
        statuses |= {401, 403}
    return sorted(statuses)


def _schemas(routes: Iterable[Route]) -> dict[str, Any]:
    models: list[tuple[type[In] | type[Out], Any]] = []
    for route in routes:
        hints = get_type_hints(route.handler)
        (result,) = get_args(hints["return"])
        if "body" in hints:
            models.append((hints["body"], "validation"))
        if issubclass(result, Out):
            models.append((result, "serialization"))
    _, definitions = models_json_schema(
        list(dict.fromkeys(models)), ref_template=SCHEMAS + "{model}"
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas
