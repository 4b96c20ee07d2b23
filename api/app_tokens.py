"""Checks the app's own tokens: JWTs (RFC 7519) that its backend signs."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import jwt
from jwt import PyJWK

from datastore import accounts
from datastore.accounts import Identity
from datastore.prepared import Link
from models.errors import (
    CallerError,
    TokenExpired,
    TokenNotYetValid,
    Unauthorized,
    UnknownUser,
    WrongAudience,
    WrongIssuer,
)

# Tolerated difference between two clocks.
LEEWAY_S = 30
CLAIMS = ("exp", "iss", "aud", "sub")
# The library raises these only after it has verified the signature.
PROBLEMS: dict[type[jwt.PyJWTError], type[CallerError]] = {
    jwt.ExpiredSignatureError: TokenExpired,
    jwt.ImmatureSignatureError: TokenNotYetValid,
    jwt.InvalidAudienceError: WrongAudience,
    jwt.InvalidIssuerError: WrongIssuer,
}
Subject = Literal["id", "external_id"]
_is_id = re.compile(r"[1-9][0-9]{0,17}").fullmatch
# The same as in the schemas; databases do not accept every character.
_is_external_id = re.compile(r"[!-~]{1,100}").fullmatch


class AppTokens:
    """Finds the user of a token that one of the keys has signed."""

    def __init__(
        self, keys: Sequence[PyJWK], *, audience: str, issuer: str, subject: Subject
    ) -> None:
        self._keys = {key.key_id: key for key in keys}
        self._only = keys[0] if len(keys) == 1 else None
        self._audience = audience
        self._issuer = issuer
        self._subject = subject

    @staticmethod
    def may_be(token: str) -> bool:
        """Whether the token looks like a JWT; Bottlepost's own tokens have no dot."""
        return token.count(".") == 2

    def identify(self, link: Link, token: str) -> Identity:
        """The token's user; raises Unauthorized.

        If the signature is valid, the exception is a subclass with the reason.
        """
        subject = self.subject(token)
        user = None
        if self._subject == "external_id" and _is_external_id(subject):
            user = accounts.identify_external(link, subject)
        elif self._subject == "id" and _is_id(subject):
            user = accounts.identify_user(link, int(subject))
        if user is None:
            raise UnknownUser
        return user

    def subject(self, token: str) -> str:
        """The token's `sub`; raises as `identify` does."""
        try:
            claims = self._claims(token)
        except jwt.PyJWTError as problem:
            raise PROBLEMS.get(type(problem), Unauthorized) from None
        # An unverified token may contain anything: deep JSON, huge numbers.
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthorized from None
        if not isinstance(claims["sub"], str):
            raise Unauthorized
        return claims["sub"]

    def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        key = self._key(header.get("kid"))
        # RFC 7515 §4.1.11: unknown critical extensions must be refused; we know none.
        if key is None or "crit" in header:
            raise Unauthorized
        return jwt.decode(
            token,
            key.key,
            # The key determines the algorithm, never the token.
            algorithms=[key.algorithm_name],
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY_S,
            options={"require": list(CLAIMS)},
        )

    def _key(self, kid: object) -> PyJWK | None:
        """The key with this id; a single key without an id fits every token."""
        if self._only is not None and (kid is None or self._only.key_id is None):
            return self._only
        return self._keys.get(kid) if isinstance(kid, str) else None
