"""Builds the OpenAPI document from the routes and schemas that serve the API."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, get_args, get_type_hints

from pydantic.json_schema import models_json_schema

from api import examples, uploads
from api.auth import Access
from api.routing import ID_DIGITS, NAME, Route
from api.schemas import In, Out

SCHEMAS = "#/components/schemas/"
RESPONSES = "#/components/responses/"
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
ERROR_EXAMPLE = {
    "error": {
        "code": "invalid",
        "message": "message: must not be blank",
        "details": {"problems": [{"field": "message", "problem": "must not be blank"}]},
    }
}


class ErrorKind(NamedTuple):
    """What all responses with one error status have in common."""

    # Its name among the components.
    name: str
    reason: str
    # An example of its `code`; the others are in the table of `api.errors`.
    code: str
    header: tuple[str, str] | None = None


RETRY_AFTER = ("Retry-After", "Seconds after which to try again.")
FAILURES = {
    400: ErrorKind("Invalid", "The request is not valid.", "invalid"),
    401: ErrorKind(
        "Unauthorized",
        "A valid bearer token is needed.",
        "unauthorized",
        ("WWW-Authenticate", "The scheme of the token: Bearer."),
    ),
    403: ErrorKind("Forbidden", "The caller may not do this.", "forbidden"),
    404: ErrorKind(
        "NotFound", "It does not exist, or the caller may not see it.", "not_found"
    ),
    405: ErrorKind(
        "MethodNotAllowed",
        "The address does not support the method.",
        "method_not_allowed",
    ),
    408: ErrorKind("TooSlow", "The body came too slowly.", "too_slow"),
    409: ErrorKind("Conflict", "The request conflicts with existing data.", "conflict"),
    411: ErrorKind(
        "LengthRequired", "The request needs a Content-Length.", "length_required"
    ),
    413: ErrorKind("TooLarge", "The body is too large.", "too_large"),
    415: ErrorKind(
        "UnsupportedType", "The body has the wrong Content-Type.", "unsupported_type"
    ),
    429: ErrorKind(
        "TooMany",
        "Too many requests; wait as long as Retry-After says.",
        "too_many_requests",
        RETRY_AFTER,
    ),
    500: ErrorKind(
        "InternalError",
        "A bug in the server; its log has the details under the incident's number.",
        "internal_error",
    ),
    503: ErrorKind(
        "Unavailable",
        "The database does not answer; try again after Retry-After.",
        "unavailable",
        RETRY_AFTER,
    ),
}


class Tag(NamedTuple):
    """A group of operations: its heading, and what it is about."""

    title: str
    description: str


# By the name of the handlers' module, or its name in TAG_NAMES; in the order of /docs.
TAGS = {
    "groupchat": Tag("Messages", "Send, read, edit and delete messages."),
    "chats": Tag(
        "Conversations and members",
        "Begin, change and end conversations, and add or remove their members.",
    ),
    "accounts": Tag(
        "Users, tokens and devices",
        "Your backend creates users and their tokens; apps register their devices.",
    ),
    "kinds": Tag("Kinds of notifications", "How notifications look on each platform."),
    "imports": Tag("Imports", "Import existing data from a file in the background."),
    "jobs": Tag("Jobs", "How far a message's push has come."),
    "health": Tag("Health", "Checks for load balancers and monitoring."),
    "metrics": Tag("Metrics", "Numbers for Prometheus."),
}
TOKEN, SERVICE_KEY = "userToken", "serviceKey"
SECURITY_SCHEMES = {
    TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of a user, from POST /users or "
        "POST /users/{user_id}/tokens, or a JWT that the app's backend has signed.",
    },
    SERVICE_KEY: {
        "type": "http",
        "scheme": "bearer",
        "description": "The key of the app's backend, BOTTLEPOST_SERVICE_KEY.",
    },
}
SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.ANYONE: [],
    Access.USER: [{TOKEN: []}],
    Access.SERVICE: [{SERVICE_KEY: []}],
    Access.USER_OR_SERVICE: [{TOKEN: []}, {SERVICE_KEY: []}],
}
# Generated clients already use these names.
TAG_NAMES = {"messages": "groupchat", "deletions": "accounts", "exports": "accounts"}
OPERATION_IDS = {
    "groupchat_delete": "groupchat_take_back",
    "accounts_change_user": "accounts_rename_user",
    "accounts_show": "accounts_show_deletion",
}


def document(routes: Iterable[Route], server: str = "/") -> dict[str, Any]:
    """An OpenAPI 3.1 document of the server at that address."""
    routes = list(routes)
    schemas = {**_schemas(routes), "Error": ERROR}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        methods = paths.setdefault(route.path_template, {})
        methods[route.method.lower()] = _operation(route, schemas)
    used = {each["tags"][0] for methods in paths.values() for each in methods.values()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bottlepost",
            "version": "1",
            "description": "Group chat that answers at once and pushes afterwards.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": server, "description": "The server of this document."}],
        "tags": [
            {
                "name": name,
                "x-displayName": tag.title,
                "description": tag.description,
            }
            for name, tag in TAGS.items()
            if name in used
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                failure.name: _failure(status, failure)
                for status, failure in FAILURES.items()
            },
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _failure(status: int, failure: ErrorKind) -> dict[str, Any]:
    """The response that all operations share for an error status."""
    details: dict[str, Any] = {"incident": "6f1c0d9e2b7a"} if status == 500 else {}
    error = {"code": failure.code, "message": failure.reason, "details": details}
    example = ERROR_EXAMPLE if status == 400 else {"error": error}
    content = {"schema": {"$ref": SCHEMAS + "Error"}, "example": example}
    response: dict[str, Any] = {
        "description": failure.reason,
        "content": {JSON: content},
    }
    if failure.header:
        name, meaning = failure.header
        schema = {"type": "integer" if failure.header is RETRY_AFTER else "string"}
        response["headers"] = {name: {"description": meaning, "schema": schema}}
    return response


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    summary, _, more = (route.handler.__doc__ or "").strip().partition("\n")
    module = route.handler.__module__.rpartition(".")[2]
    tag = TAG_NAMES.get(module, module)
    operation_id = f"{tag}_{route.handler.__name__}"
    hints = get_type_hints(route.handler)
    operation: dict[str, Any] = {
        "operationId": OPERATION_IDS.get(operation_id, operation_id),
        "tags": [tag],
        "summary": summary.rstrip("."),
        "description": _with_callers(route.access, " ".join(more.split())),
        "parameters": [*_path_parameters(route), *_query_parameters(hints)],
        "security": SECURITY[route.access],
        "responses": _responses(route, hints, schemas),
    }
    if body := hints.get("body"):
        operation["requestBody"] = {
            "required": any(
                field.is_required() for field in body.model_fields.values()
            ),
            "content": {JSON: _json(body.__name__, schemas, is_request=True)},
        }
    if "upload" in hints:
        content = {name: _text(name) for name in uploads.MEDIA_TYPES}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _json(name: str, schemas: dict[str, Any], *, is_request: bool) -> dict[str, Any]:
    example = examples.of_schema(name, schemas, is_request=is_request)
    return {"schema": {"$ref": SCHEMAS + name}, "example": example}


def _text(media_type: str) -> dict[str, Any]:
    return {"schema": {"type": "string"}, "example": examples.of_text(media_type)}


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


def _responses(
    route: Route, hints: dict[str, Any], schemas: dict[str, Any]
) -> dict[str, Any]:
    (body,) = get_args(hints["return"])
    success: dict[str, Any] = {"description": "Success."}
    if body is not type(None):
        content_type = getattr(body, "content_type", JSON)
        if issubclass(body, Out):
            content = _json(body.__name__, schemas, is_request=False)
        elif content_type == JSON:
            content = {"schema": {}, "example": {}}
        else:
            content = _text(content_type)
        success["content"] = {content_type: content}
    responses = {str(status): dict(success) for status in route.statuses}
    if len(route.statuses) > 1:
        responses["200"]["description"] = "It existed already."
    for status in _error_statuses(route, hints):
        responses[str(status)] = {"$ref": RESPONSES + FAILURES[status].name}
    return responses


def _error_statuses(route: Route, hints: dict[str, Any]) -> list[int]:
    statuses = {404, 405, 500, 503}
    if hints.keys() & {"body", "upload"}:
        statuses |= {400, 408, 409, 411, 413, 415, 429}
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
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            _tell_default(field)
    return schemas


def _tell_default(field: dict[str, Any]) -> None:
    """Tell a default in words.

    Generators take a field with a default for one that is always there, so that it
    would have to be in each request.
    """
    default = field.pop("default", None)
    if default is None or "const" in field:
        return
    words = field.get("description", "")
    field["description"] = f"{words} Default: {json.dumps(default)}.".strip()
