"""Google's token endpoint: it exchanges a signed assertion for an access token."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from urllib.parse import parse_qs

import jwt

from sandbox.control.counters import Counters
from sandbox.control.rules import Rules
from sandbox.google.fcm_errors import unauthenticated
from sandbox.keys import Keys
from sandbox.wire.exchange import JSON, Request, Response

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = frozenset(
    (
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    )
)
# google-auth uses Google's own endpoint as audience, whatever the token_uri is.
GOOGLE = "https://oauth2.googleapis.com/token"
LONGEST_S = 3600
LEEWAY_S = 60


class BadGrant(Exception):
    """Google refuses the assertion, with this error code and description."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


class AccessTokens:
    """Issues and checks access tokens, those of an earlier run included."""

    def __init__(self, keys: Keys, rules: Rules, counters: Counters) -> None:
        self.endpoint = GOOGLE
        self._keys = keys
        self._rules = rules
        self._counters = counters
        self._known: dict[str, tuple[float, float]] = {}
        self._expired_before = 0.0

    def grant(self, request: Request) -> Response:
        """Respond to a request for an access token."""
        try:
            if request.method != "POST":
                raise BadGrant("invalid_request", "Only POST is allowed.")
            self._check(parse_qs(request.body.decode("utf-8", "replace")))
        except BadGrant as bad:
            self._counters.count("oauth_refused")
            body = {"error": bad.code, "error_description": bad.description}
            return Response(400, JSON, json.dumps(body).encode())
        self._counters.count("oauth_tokens_issued")
        lifetime_s = self._rules.fcm_token_lifetime_s
        granted = {
            "access_token": self._issue(lifetime_s),
            "expires_in": int(lifetime_s),
            "token_type": "Bearer",
        }
        return Response(200, JSON, json.dumps(granted).encode())

    def check(self, authorization: str | None) -> None:
        """Raise FcmRefusal unless this is a valid token of this sandbox."""
        if not authorization:
            raise unauthenticated("CREDENTIALS_MISSING")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED")
        issued_at, expires_at = self._known.get(token) or self._read_token(token)
        if issued_at <= self._expired_before or time.time() > expires_at:
            raise unauthenticated("ACCESS_TOKEN_EXPIRED")

    def expire(self) -> None:
        """Let every token issued so far expire."""
        self._expired_before = time.time()

    def _check(self, form: dict[str, list[str]]) -> None:
        if form.get("grant_type") != [GRANT]:
            raise BadGrant("unsupported_grant_type", f"grant_type must be {GRANT}")
        assertion = form.get("assertion", [""])[0]
        try:
            head = jwt.get_unverified_header(assertion)
            claims = jwt.decode(
                assertion,
                self._keys.account_public,
                algorithms=["RS256"],
                audience=[self.endpoint, GOOGLE],
                issuer=self._keys.account_email,
                leeway=LEEWAY_S,
                options={"require": ["iat", "exp", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise BadGrant("invalid_grant", f"Invalid JWT: {error}") from error
        if head.get("kid", self._keys.account_key_id) != self._keys.account_key_id:
            raise BadGrant("invalid_grant", "Invalid JWT: unknown key id")
        if claims["exp"] - claims["iat"] > LONGEST_S:
            raise BadGrant("invalid_grant", "Invalid JWT: longer than an hour")
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            raise BadGrant("invalid_scope", "The scope of FCM is missing.")

    def _issue(self, lifetime_s: float) -> str:
        now = time.time()
        # The random part distinguishes two tokens of the same moment.
        content = f"{now!r} {now + lifetime_s!r} {secrets.token_hex(16)}"
        text = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
        return f"ya29.{text}.{self._sign(text)}"

    def _sign(self, text: str) -> str:
        signed = hmac.new(self._keys.token_secret, text.encode(), hashlib.sha256)
        return signed.hexdigest()

    def _read_token(self, token: str) -> tuple[float, float]:
        prefix, _, rest = token.partition(".")
        text, _, signature = rest.partition(".")
        genuine = hmac.compare_digest(signature.encode(), self._sign(text).encode())
        if prefix != "ya29" or not genuine:
            raise unauthenticated("ACCESS_TOKEN_INVALID")
        padded = text + "=" * (-len(text) % 4)
        issued_at, expires_at, _ = base64.urlsafe_b64decode(padded).split()
        self._known[token] = found = (float(issued_at), float(expires_at))
        return found
