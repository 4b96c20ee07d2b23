"""Keys and service accounts: read with clear errors, signed as providers expect."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from models.base import utc_now
from notifier.channels import CredentialsRefused, MintedToken
from notifier.channels.apns.credentials import SigningKey
from notifier.channels.fcm import credentials
from notifier.channels.fcm.credentials import TokenEndpoint
from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    raw: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return raw.decode()


def write(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def account_file(tmp_path: Path, **changes: Any) -> Path:
    account = {
        "type": "service_account",
        "project_id": "harbour",
        "private_key_id": "key-1",
        "private_key": pem(RSA_KEY),
        "client_email": "push@harbour.example",
        "token_uri": "https://oauth2.example/token",
    }
    return write(tmp_path / "account.json", json.dumps(account | changes))


def signing_key(path: Path) -> SigningKey:
    return SigningKey(path, key_id="KEY1234567", team_id="TEAM123456")


def test_apples_token_is_signed_and_dated_in_whole_seconds(tmp_path: Path) -> None:
    key = signing_key(write(tmp_path / "key.p8", pem(EC_KEY)))

    minted = asyncio.run(key.mint())

    claims = jwt.decode(minted.token, EC_KEY.public_key(), algorithms=["ES256"])
    assert claims == {"iss": "TEAM123456", "iat": claims["iat"]}
    assert type(claims["iat"]) is int
    assert abs(claims["iat"] - utc_now().timestamp()) < 10
    header = jwt.get_unverified_header(minted.token)
    assert (header["alg"], header["kid"]) == ("ES256", "KEY1234567")
    assert 20 * 60 < minted.lifetime_s < 60 * 60


def test_another_key_of_the_same_id_has_tokens_of_its_own(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())

    first = signing_key(write(tmp_path / "a.p8", pem(EC_KEY)))
    second = signing_key(write(tmp_path / "b.p8", pem(other)))

    assert first.name != second.name
    assert "PRIVATE" not in first.name


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not a key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(RSA_KEY),
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=["empty", "words", "broken", "rsa", "p384", "ed25519"],
)
def test_a_file_that_is_no_apns_key_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(ValueError, match=r"key\.p8"):
        signing_key(write(tmp_path / "key.p8", content))


def test_googles_assertion_says_who_wants_what(tmp_path: Path) -> None:
    account = credentials.read(account_file(tmp_path))

    claims = jwt.decode(
        account.assertion(),
        RSA_KEY.public_key(),
        algorithms=["RS256"],
        audience="https://oauth2.example/token",
    )

    assert claims["iss"] == "push@harbour.example"
    assert claims["scope"].endswith("/auth/firebase.messaging")
    assert claims["exp"] - claims["iat"] == 3600
    assert jwt.get_unverified_header(account.assertion())["kid"] == "key-1"
    assert account.token_origin == "https://oauth2.example"


@pytest.mark.parametrize(
    "changes",
    [
        {"project_id": ""},
        {"client_email": None},
        {"private_key": "not a key"},
        {"private_key": pem(EC_KEY)},
        {"token_uri": "http://oauth2.example/token"},
        {"type": "external_account"},
        {"type": "authorized_user"},
    ],
    ids=[
        "no project",
        "no email",
        "no key",
        "wrong key",
        "plain http",
        "workload identity",
        "a person",
    ],
)
def test_a_file_that_is_no_service_account_is_named(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"account\.json"):
        credentials.read(account_file(tmp_path, **changes))


@pytest.mark.parametrize("line_end", ["\\n", "\\r\\n", "\r\n"])
def test_line_ends_of_a_key_may_be_escaped(tmp_path: Path, line_end: str) -> None:
    escaped = {key: pem(key).replace("\n", line_end) for key in (RSA_KEY, EC_KEY)}

    account = credentials.read(account_file(tmp_path, private_key=escaped[RSA_KEY]))
    apple = signing_key(write(tmp_path / "key.p8", escaped[EC_KEY]))

    assert account.key.private_numbers() == RSA_KEY.private_numbers()
    assert asyncio.run(apple.mint()).token


def test_other_credentials_of_google_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'external_account'.*service account"):
        credentials.read(account_file(tmp_path, type="external_account"))


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"account\.json"):
        credentials.read(write(tmp_path / "account.json", "[]"))


class FakeFetch:
    """The token endpoint's client: keeps the request and returns the response."""

    def __init__(self, response: Response) -> None:
        self.response = response

    async def fetch(self, head: Head, request: Request) -> Response:
        self.head, self.form = head, parse_qs(request.body.decode())
        return self.response


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., MintedToken]:
    account = credentials.read(account_file(tmp_path))

    def ask(
        status: int, body: object, headers: tuple[tuple[str, str], ...] = ()
    ) -> MintedToken:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        client = FakeFetch(Response(status, headers, raw))
        minted = asyncio.run(TokenEndpoint(client, account).mint())  # type: ignore[arg-type]
        assert client.head.path == "/token"
        assert client.form["grant_type"] == [credentials.GRANT_TYPE]
        assert client.form["assertion"]
        return minted

    return ask


def test_an_access_token_lives_as_long_as_google_says(
    ask: Callable[..., MintedToken],
) -> None:
    assert ask(200, {"access_token": "ya29", "expires_in": 1799}) == ("ya29", 1799.0)


@pytest.mark.parametrize("expires_in", [None, "soon", 0, -5, 10**9, True])
def test_an_odd_lifetime_is_taken_for_an_hour_at_most(
    ask: Callable[..., MintedToken], expires_in: object
) -> None:
    minted = ask(200, {"access_token": "ya29", "expires_in": expires_in})

    assert minted.lifetime_s <= 3600


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_assertion_is_a_matter_of_credentials(
    ask: Callable[..., MintedToken], status: int
) -> None:
    body = {"error": "invalid_grant", "error_description": "Invalid JWT"}

    with pytest.raises(CredentialsRefused, match="invalid_grant: Invalid JWT"):
        ask(status, body)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (503, {"error": "busy"}),
        (429, {}),
        (200, {}),
        (200, b"<html>"),
        (200, {"access_token": 7}),
        (200, {"access_token": "no\r\nheader: text"}),
    ],
)
def test_any_other_answer_is_an_outage(
    ask: Callable[..., MintedToken], status: int, body: object
) -> None:
    with pytest.raises(ChannelDown) as raised:
        ask(status, body, (("retry-after", "9"),))

    assert raised.value.retry_after_s == 9
