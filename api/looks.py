"""Checks what a message says about the look of its notification."""

from typing import Any

from api.context import RequestContext
from datastore import kinds
from models import kinds as rules
from models.errors import Forbidden, Invalid

FIELD = "notification"


def check(
    context: RequestContext, kind: str | None, changes: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The canonical changes to the kind; costs nothing if there is no kind either.

    Raises Forbidden for what only the service may say, UnknownKind, and Invalid.
    """
    if changes is not None and not context.is_service:
        raise Forbidden(f"Only the service key may set {FIELD}.", field=FIELD)
    if kind is not None:
        context.app.kinds.check(context.store, kind, is_service=context.is_service)
    if changes is None:
        return None
    with context.store.lookup() as link:
        definition = kinds.definition(link, kind or rules.OF_MESSAGES)
    try:
        return rules.check_changes(definition, changes)
    except Invalid as problem:
        raise _within(problem) from None


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
