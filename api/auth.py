"""Authenticates the caller: a user by a token, or the service by its key."""

from enum import Enum
from typing import Any

from api.context import AppContext
from datastore import accounts
from datastore.accounts import Identity
from models.base import utc_now
from models.errors import Forbidden, Unauthorized


class Access(Enum):
    """The callers that a route accepts; its handler checks rights on single objects."""

    ANYONE = "anyone"
    USER = "user"
    SERVICE = "service"
    USER_OR_SERVICE = "either"


def authenticate(
    environ: dict[str, Any], access: Access, app: AppContext
) -> tuple[Identity | None, bool]:
    """The calling user or None, and whether the service calls."""
    if access is Access.ANYONE:
        return None, False
    token = bearer(environ)
    address = app.address_of(environ)
    if app.service_key.matches(token, address):
        if access is Access.USER:
            raise Forbidden("This needs the token of a user, not the service key.")
        return None, True
    user = _identify(token, address, app)
    if access is Access.SERVICE:
        raise Forbidden("This needs the service key.")
    return user, False


def _identify(token: str, address: str, app: AppContext) -> Identity:
    app_tokens = app.app_tokens
    with app.store.lookup() as link:
        if app_tokens is not None and app_tokens.may_be(token):
            return app_tokens.identify(link, token)
        user = accounts.identify(link, token, utc_now())
    if user is None:
        app.service_key.refuse(token, address)
    return user


def bearer(environ: dict[str, Any]) -> str:
    """What the caller shows; raises Unauthorized if it is nothing."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token.isascii() or not token:
        raise Unauthorized
    return str(token)
