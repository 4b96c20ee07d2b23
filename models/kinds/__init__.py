"""Kinds of notifications: the looks that the service defines for its app.

A definition has patterns by locale and a block for each platform. It is checked against
the providers' rules when it is saved, so that nothing has to be when it is pushed.
"""

from collections.abc import Mapping
from typing import Any

# The kind of messages that name none, and of those that mention a device's owner.
OF_MESSAGES, OF_MENTIONS = "message", "mention"

Definition = Mapping[str, Any]


def find(
    definitions: Mapping[str, Definition], kind: str | None
) -> tuple[Definition | None, Definition | None]:
    """The definition for a message that names the kind, and that for mentions in it.

    A kind that is gone looks like the usual one. None is the built-in look; without a
    definition of its own a mention has no other look than the message.
    """
    definition = definitions.get(kind or OF_MESSAGES)
    if definition is None:
        definition = definitions.get(OF_MESSAGES)
    is_usual = kind is None or kind == OF_MESSAGES
    return definition, definitions.get(OF_MENTIONS) if is_usual else None


def check(
    definition: Mapping[str, Any], *, name: str | None = None, partial: bool = False
) -> dict[str, Any]:
    """The definition in its canonical form, of the kind of this name.

    A partial one changes a kind for one message: null removes a field, and what depends
    on other fields is left to `check_changes`. Raises Invalid that names each field.
    """
    # Imported here: the engine fills patterns and checks none, so it needs no pydantic.
    from models.kinds import definitions  # noqa: PLC0415

    is_usual = name in (OF_MESSAGES, OF_MENTIONS)
    return definitions.check(definition, partial=partial, is_usual=is_usual)


def check_changes(
    definition: Mapping[str, Any] | None, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The canonical changes of the service to a kind, or to the built-in look.

    Raises Invalid if they are not valid, or do not fit to the kind.
    """
    canonical = check(changes, partial=True)
    merged = merge(definition or {}, canonical)
    # The service may set what members may not.
    merged.pop("members", None)
    check(merged)
    return canonical


def merge(definition: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The definition with the changes, as a JSON merge patch (RFC 7396)."""
    merged = dict(definition)
    for name, change in changes.items():
        if change is None:
            merged.pop(name, None)
        elif isinstance(change, Mapping):
            old = merged.get(name)
            merged[name] = merge(old if isinstance(old, Mapping) else {}, change)
        else:
            merged[name] = change
    return merged
