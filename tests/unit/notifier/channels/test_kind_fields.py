"""Every field that a kind sets is in the request, and the sandbox takes it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import kinds
from models.errors import Invalid
from tests import field_table
from tests.support import rendered_kinds
from tests.support.kind_fields import Field

HEADERS = {
    "push_type": "apns-push-type",
    "priority": "apns-priority",
    "expiration": "apns-expiration",
    "collapse_id": "apns-collapse-id",
}
PHONES = [
    field
    for field in field_table.FIELDS
    if field.right and field.block in ("apns", "fcm", "webpush")
]
MAILS = [f for f in field_table.FIELDS if f.right and f.block == "email"]


@pytest.mark.parametrize("field", PHONES, ids=lambda field: field.name)
def test_field_is_sent(field: Field) -> None:
    for value in field.right:
        definition = kinds.check(field.definition(value))
        block = definition[field.block]
        path = field.path.split(".")[1:]
        sent = SENT[field.block](block, path)
        asked = rendered_kinds.filled({path[-1]: _at(block, path)}).get(path[-1])
        assert _holds(sent, asked), (value, sent)


@pytest.mark.parametrize("field", MAILS, ids=lambda field: field.name)
def test_field_is_mailed(field: Field) -> None:
    for value in field.right:
        definition = kinds.check(field.definition(value))
        name = field.path.split(".")[1]
        asked = rendered_kinds.filled({name: value})[name]

        assert asked in rendered_kinds.to_mailbox(definition["email"])[name]


VALUES = [(field, value) for field in PHONES for value in field.right]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(VALUES), min_size=2, max_size=8))
def test_what_may_be_saved_is_what_providers_take(
    chosen: list[tuple[Field, Any]],
) -> None:
    """Fields may be combined in any way that `check` takes."""
    definition: dict[str, Any] = {}
    for field, value in chosen:
        definition = kinds.merge(definition, field.definition(value))
    try:
        found = kinds.check(definition)
    except Invalid:
        return

    for name, ask in ASK.items():
        if name in found:
            ask(found[name])


ASK: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "apns": rendered_kinds.to_apple,
    "fcm": rendered_kinds.to_google,
    "webpush": rendered_kinds.to_browser,
}


def _from_apple(block: Mapping[str, Any], path: list[str]) -> Any:
    fields, payload = rendered_kinds.to_apple(block)
    if path[0] == "headers":
        if path[1] == "topic_suffix":
            return fields["apns-topic"].removeprefix(rendered_kinds.APP)
        text = fields[HEADERS[path[1]]]
        return int(text) if path[1] in ("priority", "expiration") else text
    return _found(payload, path if path[0] == "aps" else path[1:])


def _from_google(block: Mapping[str, Any], path: list[str]) -> Any:
    message = rendered_kinds.to_google(block)
    if path == ["data_only"]:
        return "notification" not in message
    if path == ["android", "data"]:
        return message["data"]
    return _found(message, path)


def _from_browser(block: Mapping[str, Any], path: list[str]) -> Any:
    fields, text = rendered_kinds.to_browser(block)
    if path[0] in fields:
        return fields[path[0]]
    if path == ["declarative"]:
        return "web_push" in text
    name = path[-1]
    if "web_push" in text:
        shown = text["notification"]
        # Browsers have no subtitle, so the conversation is there, too.
        return shown[name].split(" · ")[0] if name == "title" else shown.get(name)
    return text[name] if name in ("title", "body", "tag") else text["options"].get(name)


SENT = {"apns": _from_apple, "fcm": _from_google, "webpush": _from_browser}


def _found(value: Any, path: list[str]) -> Any:
    """The value at the path; an empty text is not sent."""
    for name in path:
        value = value.get(name, "")
    return value


def _at(value: Any, path: list[str]) -> Any:
    for name in path:
        value = value[name]
    return value


def _holds(sent: Any, asked: Any) -> bool:
    """Whether all that was asked for was sent, perhaps with more beside it."""
    if isinstance(asked, Mapping) and isinstance(sent, Mapping):
        return all(name in sent and _holds(sent[name], asked[name]) for name in asked)
    return bool(sent == asked)
