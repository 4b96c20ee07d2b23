"""Checks what a message says about the look of its notification."""

from typing import Any

from api.context import RequestContext
from datastore import kinds
from models import kinds as rules
from models.errors import Forbidden, Invalid

FIELD = "notification"


def check(
    context: RequestContext,
    kind: str | None,
    changes: dict[str, Any] | None,
    *,
    has_mentions: bool,
) -> dict[str, Any] | None:
    """The canonical changes to the kind; costs nothing if there is no kind either.

    They must fit to the kind of mentions, too, where it takes the place of this one.

    Raises Forbidden for what only the service may say, UnknownKind, and Invalid.
    """
    if changes is not None and not context.is_service:
        raise Forbidden(f"Only the service key may set {FIELD}.", field=FIELD)
    if kind is not None:
        context.app.kinds.check(context.store, kind, is_service=context.is_service)
    if changes is None:
        return None
    named = kind or rules.OF_MESSAGES
    with context.store.lookup() as link:
        definition = kinds.definition(link, named)
        of_mentions = None
        if has_mentions and named == rules.OF_MESSAGES:
            of_mentions = kinds.definition(link, rules.OF_MENTIONS)
    try:
        canonical = rules.check_changes(definition, changes)
        if of_mentions is not None:
            rules.check_changes(of_mentions, changes)
    except Invalid as problem:
        raise _within(problem) from None
    return canonical


def _within(problem: Invalid) -> Invalid:
    """The problems with the paths of the request's fields."""
    found = problem.details.get("problems") or [
        {"field": "", "problem": problem.message}
    ]
    problems = [
        {**each, "field": f"{FIELD}.{each['field']}".rstrip(".")} for each in found
    ]
    first = problems[0]
    return Invalid(f"{first['field']}: {first['problem']}", problems=problems)
