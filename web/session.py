"""Session cookies: a user's token, or a signed session of an operator."""

import hmac
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bottle import HTTPResponse

from api.service_key import ServiceKey

USER_COOKIE = "bottlepost_user"
OPERATOR_COOKIE = "bottlepost_operator"
LIFETIME_S = 12 * 3600


class Sessions:
    """Signs and checks operators' cookies.

    A cookie is valid in every process that has the same service key, also as the old
    one, until it expires or the database says that its session was ended.
    """

    def __init__(
        self, service_key: ServiceKey, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = service_key.derive(b"operator sessions")
        self._clock = clock

    def issue(self) -> str:
        """The cookie of a new session."""
        session = f"{int(self._clock()) + LIFETIME_S}.{secrets.token_urlsafe(16)}"
        return f"{session}.{_sign(self._keys[0], session)}"

    def is_valid(self, cookie: str) -> bool:
        session, _, signature = cookie.rpartition(".")
        if not self._is_signed(session, signature):
            return False
        return int(session.partition(".")[0]) > self._clock()

    @staticmethod
    def expires_at(cookie: str) -> datetime:
        """When a valid session ends by itself."""
        return datetime.fromtimestamp(int(cookie.partition(".")[0]), UTC)

    def csrf_token(self, cookie: str) -> str:
        """The CSRF token for the forms of this session."""
        return _sign(self._keys[0], f"form {cookie}")

    def is_csrf_token(self, cookie: str, token: str) -> bool:
        return self._is_signed(f"form {cookie}", token)

    def _is_signed(self, text: str, signature: str) -> bool:
        """Whether the newest key, or the one before, has signed the text."""
        return any([_is_same(signature, _sign(key, text)) for key in self._keys])


def set_cookie(
    response: HTTPResponse, environ: dict[str, Any], name: str, value: str
) -> None:
    """Set a cookie for this site, hidden from scripts; an empty value deletes it."""
    is_operator = name == OPERATOR_COOKIE
    response.set_cookie(
        name,
        value,
        # Another application on this host may have another path.
        path=environ.get("SCRIPT_NAME") or "/",
        max_age=LIFETIME_S if value else 0,
        httponly=True,
        secure=environ.get("wsgi.url_scheme") == "https",
        # A link or form on the app's own site may lead a user here, but no operator.
        samesite="strict" if is_operator else "lax",
    )


def _sign(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
