"""Cookies: a user's token, or a signed note that somebody has shown the service key."""

import hmac
import secrets
import time
import zlib
from collections.abc import Callable
from typing import Any

from bottle import HTTPResponse

from api.limits import Limit

USER_COOKIE = "bottlepost_user"
OPERATOR_COOKIE = "bottlepost_operator"
LIFETIME_S = 12 * 3600
# Of an address, in a process: guessing a key of 16 characters takes for ever.
LOGINS_PER_MINUTE = 30


class Sessions:
    """Signs and checks operators' cookies; every process with the key agrees."""

    def __init__(
        self, service_key: str, clock: Callable[[], float] = time.time
    ) -> None:
        # A key of its own: what is signed here can never pass as something else.
        self._key = hmac.digest(service_key.encode(), b"operator sessions", "sha256")
        self._clock = clock
        self._logins = Limit(LOGINS_PER_MINUTE)

    def count_login(self, address: str) -> None:
        """Raises TooMany when this address has tried too often."""
        self._logins.take(zlib.crc32(address.encode()))

    def issue(self) -> str:
        session = f"{int(self._clock()) + LIFETIME_S}.{secrets.token_urlsafe(16)}"
        return f"{session}.{self._sign(session)}"

    def is_valid(self, cookie: str) -> bool:
        session, _, signature = cookie.rpartition(".")
        if not _is_same(signature, self._sign(session)):
            return False
        return int(session.partition(".")[0]) > self._clock()

    def form_key(self, cookie: str) -> str:
        """What a form of this session carries, and no other site can know."""
        return self._sign(f"form {cookie}")

    def is_form_key(self, cookie: str, key: str) -> bool:
        return _is_same(key, self.form_key(cookie))

    def _sign(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()


def set_cookie(
    response: HTTPResponse, environ: dict[str, Any], name: str, value: str
) -> None:
    """For this site only, out of the scripts' reach; an empty value takes it away."""
    is_operator = name == OPERATOR_COOKIE
    response.set_cookie(
        name,
        value,
        path="/",
        max_age=LIFETIME_S if value else 0,
        httponly=True,
        secure=environ.get("wsgi.url_scheme") == "https",
        # A form on the app's own site may lead a user here; an operator comes alone.
        samesite="strict" if is_operator else "lax",
    )


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
