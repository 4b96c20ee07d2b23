"""Provider tokens and requests of an app's server, without code of the notifier."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives import serialization

from tests.support.provider_client import ProviderClient, Reply
from tests.support.sandbox import Sandbox

TOPIC = "org.bottlepost.demo"
DEVICE = "c0ffee" * 10 + "beef"
HELLO = {"aps": {"alert": {"title": "Ann", "body": "Hello"}, "badge": 1}}
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
SEND = "/v1/projects/bottlepost-sandbox/messages:send"


def apns_jwt(sandbox: Sandbox, key: Any = None, **changes: Any) -> str:
    """A provider token; tests may give a wrong `iat`, `iss`, `kid`, `alg` or key."""
    environment = sandbox.environment
    with open(environment["BOTTLEPOST_APNS_KEY_FILE"]) as file:
        key = key or file.read()
    claims = {
        "iss": changes.get("iss", environment["BOTTLEPOST_APNS_TEAM_ID"]),
        "iat": changes.get("iat", int(time.time())),
    }
    head = {"kid": changes.get("kid", environment["BOTTLEPOST_APNS_KEY_ID"])}
    return jwt.encode(claims, key, changes.get("alg", "ES256"), headers=head)


def apns_headers(token: str | None, **changes: str | None) -> list[tuple[str, str]]:
    """The headers of a valid alert; a change to None leaves a header out."""
    headers = {"apns-topic": TOPIC, "apns-push-type": "alert"}
    if token is not None:
        headers["authorization"] = f"bearer {token}"
    for name, value in changes.items():
        headers[name.replace("_", "-")] = value  # type: ignore[assignment]
    return [(name, value) for name, value in headers.items() if value is not None]


class ApnsSender:
    """Pushes over one connection, with a valid token by default."""

    def __init__(self, sandbox: Sandbox, *, url: str | None = None) -> None:
        self.client = ProviderClient(url or sandbox.url, sandbox.ca_file)
        self.token = apns_jwt(sandbox)

    def push(
        self, device: str = DEVICE, payload: Any = None, **headers: str | None
    ) -> Reply:
        return self.client.wait(self.send(device, payload, **headers))

    def send(
        self, device: str = DEVICE, payload: Any = None, **headers: str | None
    ) -> int:
        """Send without waiting for the response; returns its stream."""
        body = payload if isinstance(payload, bytes) else _json(payload or HELLO)
        fields = apns_headers(self.token, **headers)
        return self.client.send("POST", f"/3/device/{device}", fields, body)

    def refused(self, *args: Any, **headers: str | None) -> tuple[int, str]:
        """Push, and return status and reason of the refusal."""
        reply = self.push(*args, **headers)
        return reply.status, json.loads(reply.body)["reason"]


class FcmSender:
    """Sends messages over one connection, with an access token of the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.client = ProviderClient(sandbox.url, sandbox.ca_file)
        self.token = access_token(sandbox, self.client)

    def send(self, message: Any = None, **whole: Any) -> Reply:
        if message is None:
            message = {"token": "phone-1", "notification": {"title": "Ann"}}
        return self.post(_json({"message": message, **whole}))

    def begin(self, message: Any) -> int:
        """Send without waiting for the response; returns its stream."""
        body = _json({"message": message})
        return self.client.send("POST", SEND, self._headers(), body)

    def post(self, body: bytes, path: str = SEND) -> Reply:
        return self.client.request("POST", path, self._headers(), body)

    def _headers(self) -> list[tuple[str, str]]:
        bearer = ("authorization", f"Bearer {self.token}")
        return [("content-type", "application/json"), bearer]

    def refused(self, message: Any) -> dict[str, Any]:
        """Send, and return the error."""
        reply = self.send(message)
        error = json.loads(reply.body)["error"]
        assert error["code"] == reply.status
        return dict(error)


def assertion(sandbox: Sandbox, key: Any = None, **changes: Any) -> str:
    """The assertion that a service account signs; changes make it invalid."""
    with open(sandbox.environment["BOTTLEPOST_FCM_CREDENTIALS_FILE"]) as file:
        account = json.load(file)
    now = int(time.time())
    claims = {
        "iss": account["client_email"],
        "aud": account["token_uri"],
        "scope": SCOPE,
        "iat": now,
        "exp": now + 3600,
        **changes,
    }
    head = {"kid": account["private_key_id"]}
    # The sandbox's key is valid; checking it would take longer than the test.
    key = key or serialization.load_pem_private_key(
        account["private_key"].encode(), None, unsafe_skip_rsa_key_validation=True
    )
    return jwt.encode(claims, key, "RS256", headers=head)


def grant(
    client: ProviderClient, assertion: str, grant_type: str = GRANT
) -> tuple[int, dict[str, Any]]:
    """The token endpoint's response to an assertion."""
    form = urlencode({"grant_type": grant_type, "assertion": assertion}).encode()
    headers = [("content-type", "application/x-www-form-urlencoded")]
    reply = client.request("POST", "/token", headers, form)
    return reply.status, json.loads(reply.body)


def access_token(sandbox: Sandbox, client: ProviderClient) -> str:
    status, answer = grant(client, assertion(sandbox))
    assert status == 200, answer
    return str(answer["access_token"])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
