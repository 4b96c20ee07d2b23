"""Issues subscriptions of browsers, on request."""

import json
import secrets
from typing import Any

from sandbox.browsers import rules, service, subscriptions
from sandbox.browsers.browser import POINT_SIZE, unb64
from sandbox.state import Sandbox
from sandbox.wire.exchange import Request

FIELDS = {"manner", "name", "server_key"}


class BadSubscription(Exception):
    """A request for a subscription with an invalid value."""


def subscribe(sandbox: Sandbox, request: Request) -> dict[str, Any]:
    """The subscription of a new browser, as its page would register it."""
    kind = request.fields.get("content-type", "").partition(";")[0].strip()
    # Browsers send this type across origins only after a preflight, which we refuse.
    if kind != "application/json":
        raise BadSubscription("content-type must be application/json")
    try:
        wanted = json.loads(request.body)
    except ValueError:
        raise BadSubscription("the body is not JSON") from None
    if not isinstance(wanted, dict) or not wanted.keys() <= FIELDS:
        raise BadSubscription(
            f"the body must be an object with {', '.join(sorted(FIELDS))}"
        )
    manner = wanted.get("manner", "strict")
    if manner not in rules.MANNERS:
        raise BadSubscription(f"manner must be one of {', '.join(rules.MANNERS)}")
    name = wanted.get("name") or f"browser-{secrets.token_hex(6)}"
    if not isinstance(name, str) or not subscriptions.is_name(name):
        raise BadSubscription("name must be up to 100 of A-Z, a-z, 0-9, _ and -")
    server_key = wanted.get("server_key") or ""
    if server_key and not _is_key(server_key):
        raise BadSubscription("server_key must be a P-256 key of 65 bytes, base64url")
    issued = sandbox.webpush.subscriptions.issue(
        service.origin_of(request), manner, name, server_key
    )
    found: dict[str, Any] = json.loads(issued.browser.token)
    return found


def _is_key(text: Any) -> bool:
    try:
        return isinstance(text, str) and len(unb64(text)) == POINT_SIZE
    except ValueError:
        return False
