"""Apple's provider tokens, client certificates, and the stream limit before both."""

import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support import sandbox as sandboxes
from tests.support.provider_client import ProviderClient
from tests.support.provider_tokens import (
    DEVICE,
    HELLO,
    ApnsSender,
    apns_headers,
    apns_jwt,
)
from tests.support.sandbox import Sandbox

REFUSED_STREAM = 7


def foreign_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def test_missing_token_is_named(apns: ApnsSender) -> None:
    assert apns.refused(authorization=None) == (403, "MissingProviderToken")


@pytest.mark.parametrize(
    "value", ["bearer ", "bearer rubbish", "basic abc", "bearer a.b.c"]
)
def test_unreadable_token_is_invalid(apns: ApnsSender, value: str) -> None:
    assert apns.refused(authorization=value) == (403, "InvalidProviderToken")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "OTHERTEAM1"},
        {"kid": "OTHERKEY01"},
        {"iat": time.time()},
        {"iat": "1700000000"},
        {"iat": int(time.time()) + 86_400},
        {"key": foreign_key()},
        {"key": "a shared secret of enough bytes for HS256", "alg": "HS256"},
    ],
)
def test_token_with_a_wrong_part_is_invalid(
    sandbox: Sandbox, apns: ApnsSender, changes: dict[str, object]
) -> None:
    apns.token = apns_jwt(sandbox, **changes)

    assert apns.refused() == (403, "InvalidProviderToken")


def test_token_older_than_an_hour_has_expired(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    apns.token = apns_jwt(sandbox, iat=int(time.time()) - 3601)

    assert apns.refused() == (403, "ExpiredProviderToken")


def test_token_just_under_an_hour_is_good(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.token = apns_jwt(sandbox, iat=int(time.time()) - 3590)

    assert apns.push().status == 200


def test_second_token_within_twenty_minutes_is_too_many(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    sandbox.control(apns_token_update_s=1200)
    first = apns.token
    apns.push()

    apns.token = apns_jwt(sandbox)

    assert apns.refused() == (429, "TooManyProviderTokenUpdates")
    apns.token = first
    assert apns.push().status == 200
    assert sandbox.stats()["apns_jwts_seen"] == 2


def test_shared_token_is_counted_once(
    sandbox: Sandbox, apns: ApnsSender, apns_development: ApnsSender
) -> None:
    apns_development.token = apns.token

    statuses = [apns.push().status, apns_development.push().status, apns.push().status]

    assert statuses == [200, 200, 200]
    assert sandbox.stats()["apns_jwts_seen"] == 1


def test_expired_by_control_a_new_token_is_accepted_at_once(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    sandbox.control(apns_token_update_s=1200)
    apns.push()
    sandbox.control(expire_provider_tokens=True)

    refused = apns.refused()
    apns.token = apns_jwt(sandbox)

    assert refused == (403, "ExpiredProviderToken")
    assert apns.push().status == 200


def test_token_age_can_be_controlled(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.token = apns_jwt(sandbox, iat=int(time.time()) - 30)
    sandbox.control(apns_token_max_age_s=10)

    assert apns.refused() == (403, "ExpiredProviderToken")


def test_one_stream_until_the_first_token_is_accepted(apns: ApnsSender) -> None:
    path, headers = f"/3/device/{DEVICE}", apns_headers(apns.token)
    first = apns.client.begin("POST", path, headers)
    second = apns.send()
    apns.client.finish(first, json.dumps(HELLO).encode())

    assert apns.client.wait(second).reset == REFUSED_STREAM
    assert apns.client.wait(first).status == 200
    apns.client.wait_for_limit(1000)
    assert apns.client.limits == [1, 1000]


def test_refused_token_opens_no_more_streams(apns: ApnsSender) -> None:
    apns.push(authorization="bearer rubbish")
    apns.push()
    apns.client.wait_for_limit(1000)

    assert apns.client.limits == [1, 1000]


def test_certificate_needs_no_token_and_no_topic(sandbox: Sandbox) -> None:
    with ProviderClient(
        sandbox.url, sandbox.ca_file, cert_file=sandbox.apns_cert_file
    ) as client:
        reply = client.request(
            "POST",
            f"/3/device/{DEVICE}",
            apns_headers(None, apns_topic=None),
            json.dumps(HELLO).encode(),
        )

    assert (reply.status, reply.body) == (200, b"")


def test_apple_speaks_no_http_1(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="505"):
        sandbox.ask("POST", f"/3/device/{DEVICE}", body=HELLO)


def test_limit_of_the_command_line_is_apples_own(tmp_path: Path) -> None:
    with sandboxes.running(tmp_path, token_update_s=1200) as sandbox:
        rules = sandbox.ask("GET", "/control")

    assert rules["apns_token_update_s"] == 1200
