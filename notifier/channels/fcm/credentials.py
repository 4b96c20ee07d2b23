"""OAuth access tokens for FCM, in exchange for a service account's signature."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from config import key_files
from models.base import utc_now
from notifier.channels import CredentialsRefused, MintedToken, responses
from notifier.channels.header_text import is_header_text
from notifier.http2 import Client, Head, Request, Response
from notifier.outcome import ChannelDown

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_S = 3600
# The lifetime of a token whose response names none.
LIFETIME_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class ServiceAccount:
    """The contents of a service account's JSON file."""

    project_id: str
    client_email: str
    token_uri: str
    key_id: str
    key: RSAPrivateKey
    name: str

    @property
    def token_origin(self) -> str:
        parts = urlsplit(self.token_uri)
        return f"{parts.scheme}://{parts.netloc}"

    def assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + ASSERTION_S,
        }
        headers = {"kid": self.key_id}
        return jwt.encode(claims, self.key, algorithm="RS256", headers=headers)


def read(path: Path) -> ServiceAccount:
    """Raises ValueError saying what is wrong with the file."""
    content = path.read_bytes()
    account = key_files.named(path, key_files.service_account)
    return ServiceAccount(
        project_id=account["project_id"],
        client_email=account["client_email"],
        token_uri=account["token_uri"],
        key_id=responses.string(account, "private_key_id"),
        key=key_files.service_account_key(account),
        # A new key of the same account must not get the tokens of the old one.
        name=f"fcm {account['client_email']} "[:180]
        + hashlib.sha256(content).hexdigest()[:12],
    )


class TokenEndpoint:
    """Google's OAuth server: exchanges an assertion for an access token."""

    def __init__(self, client: Client, account: ServiceAccount) -> None:
        self._client = client
        self._account = account
        path = urlsplit(account.token_uri).path or "/"
        content_type = ("content-type", "application/x-www-form-urlencoded")
        self._head = Head((content_type,), path)

    async def mint(self) -> MintedToken:
        """Raises CredentialsRefused, or ChannelDown when Google cannot answer now."""
        form = {"grant_type": GRANT_TYPE, "assertion": self._account.assertion()}
        response = await self._client.fetch(
            self._head, Request(urlencode(form).encode())
        )
        answer = responses.json_object(response.body)
        token = responses.string(answer, "access_token")
        if response.status == 200 and is_header_text(token):
            return MintedToken(token, _lifetime_s(answer.get("expires_in")))
        reason = _reason(response)
        if response.status in (400, 401, 403, 404):
            raise CredentialsRefused(reason)
        pause_s = responses.retry_after_s(response.headers, utc_now())
        raise ChannelDown(reason, retry_after_s=pause_s)

    async def close(self) -> None:
        await self._client.close()


def _lifetime_s(value: object) -> float:
    if isinstance(value, int | float) and 0 < value <= 86_400:
        return float(value)
    return LIFETIME_S


def _reason(response: Response) -> str:
    """Google's error in words, such as `invalid_grant: …`."""
    answer = responses.json_object(response.body)
    words = [
        responses.string(answer, "error"),
        responses.string(answer, "error_description"),
    ]
    said = ": ".join(filter(None, words)) or f"status {response.status}"
    return f"no access token: {said}"
