"""Examples of the bodies in the OpenAPI document, made from their schemas."""

from typing import Any

TIME = "2030-01-31T12:00:00Z"
# The value of a field, in whatever body it is.
VALUES: dict[str, Any] = {
    "id": 1,
    "name": "Ann",
    "external_id": "u-1",
    "avatar_url": "https://example.org/ann.png",
    "token": "3q2-7wSeVYk1xG0h",
    "user_id": 1,
    "user_ids": [3, 4],
    "members": [1, 2],
    "member_count": 2,
    "role": "owner",
    "conversation": 1,
    "seq": 1,
    "last_seq": 1,
    "read_seq": 1,
    "sender": 1,
    "sender_name": "Ann",
    "text": "Noon?",
    "message": "Noon?",
    "client_id": "phone-1-42",
    "kind": "message",
    "url": "/jobs/1",
    "platform": "fcm",
    "app": "org.example.chat",
    "environment": "production",
    "locale": "de",
    "state": "completed",
    "total": 2,
    "accepted": 2,
    "failed": 0,
    "pending": 0,
    "route": "apns production org.example.chat",
    "public_key": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx",
    "until": TIME,
    "created_at": TIME,
    "started_at": TIME,
    "finished_at": TIME,
    "request_id": "028a6088ed020f90",
}
# What a schema has in place of these, or does not have to have but shows.
OF_SCHEMA: dict[str, dict[str, Any]] = {
    "NewUser": {"external_id": "u-1"},
    "ChangedUser": {"name": "Ann B."},
    "NewToken": {"expires_in": 86400},
    "Logout": {"device_id": 1},
    "NewDevice": {"token": "cXf3:APA91bH", "locale": "de"},
    "DeviceOut": {"token": "cXf3:APA91bH", "app": None},
    "NewChat": {"name": "Lunch", "members": [2]},
    "ChangedChat": {"name": "Late lunch"},
    "ChatOut": {"name": "Lunch", "external_id": "c-1"},
    "ListedChat": {"name": "Lunch", "external_id": "c-1"},
    "Conversation": {"name": "Lunch"},
    "RefusedMember": {"user_id": 4},
    "AddedMembers": {"added": 1},
    "NewMessage": {"client_id": "phone-1-42"},
    "ChangedMessage": {"message": "Half past noon?"},
    "KindDefinition": {
        "members": True,
        "patterns": {"default": {"title": "{sender} is calling"}},
        "apns": {"aps": {"sound": "ring.caf"}},
    },
    "KindOut": {"name": "call", "members": True},
    "Deletion": {"tokens": 1, "devices": 2, "memberships": 3, "messages": 41},
    "Job": {
        "accepted": 1,
        "failed": 1,
        "outcomes": [
            {"platform": "apns", "outcome": "unregistered", "devices": 1},
            {"platform": "fcm", "outcome": "accepted", "devices": 1},
        ],
        "failures": [
            {
                "device": 3,
                "user": 2,
                "platform": "apns",
                "outcome": "gone",
                "reason": "Unregistered",
                "attempts": 1,
                "next_attempt_at": None,
            }
        ],
    },
    "Import": {"total": 5, "done": 4, "changed": 4, "failed": 1},
    "ProblemOut": {
        "line": 5,
        "field": "user",
        "message": "no user has this external id",
    },
    "Started": {"job": {"id": 1, "url": "/imports/1"}},
}
# Bodies without a schema, by their media type.
TEXTS = {
    "application/x-ndjson": (
        '{"type": "user", "external_id": "u-1", "name": "Ann"}\n'
        '{"type": "conversation", "external_id": "c-1", "name": "Lunch"}\n'
        '{"type": "member", "conversation": "c-1", "user": "u-1", "role": "owner"}\n'
    ),
    "text/csv": (
        "type,external_id,name,user,conversation,role\n"
        "user,u-1,Ann,,,\n"
        "conversation,c-1,Lunch,,,\n"
        "member,,,u-1,c-1,owner\n"
    ),
    "text/plain": 'bottlepost_jobs{state="queued"} 0.0\n',
}


def of_schema(name: str, schemas: dict[str, Any], *, is_request: bool) -> Any:
    """An example of a schema of the document.

    A request has the fields that it must have, and those of OF_SCHEMA.
    """
    schema, own = schemas[name], OF_SCHEMA.get(name, {})
    if "properties" not in schema:
        return _value(schema, schemas, is_request)
    required = schema.get("required", ())
    shown = [
        field
        for field in schema["properties"]
        if field in own or field in required or not is_request
    ]
    return {
        field: own[field]
        if field in own
        else _field(field, schema["properties"][field], schemas, is_request)
        for field in shown
    }


def of_text(media_type: str) -> str:
    """An example of a body that is no JSON."""
    return TEXTS.get(media_type.partition(";")[0], "")


def _field(name: str, schema: Any, schemas: dict[str, Any], is_request: bool) -> Any:
    known = VALUES.get(name)
    # The same name may be of a text here and of an object there.
    if known is not None and _may_be(known, schema):
        return known
    return _value(schema, schemas, is_request)


def _value(schema: Any, schemas: dict[str, Any], is_request: bool) -> Any:
    """Any value that the schema allows; null if that is one."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return of_schema(name, schemas, is_request=is_request)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        has_null = {"type": "null"} in choices
        has_object = any("$ref" in each for each in choices)
        if has_null and not has_object:
            return None
        return _value(choices[0], schemas, is_request)
    known = [schema[key] for key in ("const", "default") if key in schema]
    known += schema.get("enum", [])
    return known[0] if known else _of_type(schema, schemas, is_request)


def _of_type(schema: Any, schemas: dict[str, Any], is_request: bool) -> Any:
    kind = schema.get("type")
    items = schema.get("items", {})
    if kind == "array" and "$ref" in items:
        return [_value(items, schemas, is_request)]
    plain: dict[str | None, Any] = {
        "integer": schema.get("minimum", 0),
        "number": 0,
        "boolean": False,
        "array": [],
        "string": TIME if schema.get("format") == "date-time" else "",
    }
    return plain.get(kind, {})


TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def _may_be(value: Any, schema: Any) -> bool:
    """Whether a schema is of the value's type; of references it is not."""
    choices = schema.get("anyOf") or schema.get("oneOf") or [schema]
    for each in choices:
        is_type = isinstance(value, TYPES.get(each.get("type", ""), ()))
        in_enum = value in each.get("enum", (value,))
        if is_type and in_enum and value == each.get("const", value):
            items = each.get("items", {})
            return "$ref" not in items
    return False
