"""Google's token endpoint and its access tokens."""

import json
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.provider_tokens import FcmSender, assertion, grant
from tests.support.sandbox import Sandbox

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def reason_of(body: bytes) -> str:
    detail = json.loads(body)["error"]["details"][0]
    assert detail["@type"] == ERROR_INFO
    return str(detail["reason"])


def test_granted_token_lives_an_hour_less_a_second(
    sandbox: Sandbox, fcm: FcmSender
) -> None:
    status, answer = grant(fcm.client, assertion(sandbox))

    assert (status, answer["expires_in"]) == (200, 3599)
    assert answer["token_type"] == "Bearer"


def test_googles_own_audience_is_taken_too(sandbox: Sandbox, fcm: FcmSender) -> None:
    signed = assertion(sandbox, aud="https://oauth2.googleapis.com/token")

    assert grant(fcm.client, signed)[0] == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "mallory@example.com"}, "invalid_grant"),
        ({"aud": "https://example.com/token"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"exp": int(time.time()) - 120}, "invalid_grant"),
        ({"exp": int(time.time()) + 86_400}, "invalid_grant"),
        ({"iat": int(time.time()) + 86_400}, "invalid_grant"),
    ],
)
def test_wrong_assertion_is_refused(
    sandbox: Sandbox, fcm: FcmSender, changes: dict[str, object], error: str
) -> None:
    status, answer = grant(fcm.client, assertion(sandbox, **changes))

    assert (status, answer["error"]) == (400, error)


def test_foreign_signature_is_refused(sandbox: Sandbox, fcm: FcmSender) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

    status, answer = grant(fcm.client, assertion(sandbox, text))

    assert (status, answer["error"]) == (400, "invalid_grant")


def test_other_grants_are_not_supported(sandbox: Sandbox, fcm: FcmSender) -> None:
    status, answer = grant(fcm.client, assertion(sandbox), "password")

    assert (status, answer["error"]) == (400, "unsupported_grant_type")


def test_issued_tokens_are_counted(sandbox: Sandbox, fcm: FcmSender) -> None:
    grant(fcm.client, assertion(sandbox))

    assert sandbox.stats()["oauth_tokens_issued"] == 2


def test_missing_token_is_named(fcm: FcmSender) -> None:
    path = "/v1/projects/bottlepost-sandbox/messages:send"

    reply = fcm.client.request("POST", path, [], b"{}")

    assert (reply.status, reason_of(reply.body)) == (401, "CREDENTIALS_MISSING")


@pytest.mark.parametrize("token", ["rubbish", "ya29.YQ.00", "ya29.", "\u00fc"])
def test_foreign_token_is_invalid(fcm: FcmSender, token: str) -> None:
    fcm.token = token

    reply = fcm.send()

    assert (reply.status, reason_of(reply.body)) == (401, "ACCESS_TOKEN_INVALID")


def test_token_ends_with_its_lifetime(sandbox: Sandbox, fcm: FcmSender) -> None:
    sandbox.control(fcm_token_lifetime_s=1)
    _, answer = grant(fcm.client, assertion(sandbox))
    fcm.token = answer["access_token"]
    deadline = time.monotonic() + 10

    while (reply := fcm.send()).status == 200 and time.monotonic() < deadline:
        pass

    assert (reply.status, reason_of(reply.body)) == (401, "ACCESS_TOKEN_EXPIRED")


def test_expired_by_control_only_a_new_token_is_good(
    sandbox: Sandbox, fcm: FcmSender
) -> None:
    sandbox.control(expire_provider_tokens=True)

    refused = fcm.send()
    _, answer = grant(fcm.client, assertion(sandbox))
    fcm.token = answer["access_token"]

    assert reason_of(refused.body) == "ACCESS_TOKEN_EXPIRED"
    assert fcm.send().status == 200
