"""Which of the app's own tokens are accepted."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWK

from api.app_tokens import LEEWAY_S, AppTokens
from models.errors import (
    TokenExpired,
    TokenNotYetValid,
    Unauthorized,
    WrongAudience,
    WrongIssuer,
)
from tests.support.app_tokens import ALGORITHMS, AUDIENCE, ISSUER, Signer, claims

SIGNER = Signer()


def trusting(*signers: Signer) -> AppTokens:
    keys = [PyJWK(signer.jwk) for signer in signers]
    return AppTokens(keys, audience=AUDIENCE, issuer=ISSUER, subject="id")


def refusal(token: str, tokens: AppTokens) -> type[Exception]:
    with pytest.raises(Unauthorized) as caught:
        tokens.subject(token)
    return caught.type


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_token_signed_by_the_key_speaks_for_its_subject(algorithm: str) -> None:
    signer = Signer(algorithm)

    assert trusting(signer).subject(signer.token("7")) == "7"


def test_token_may_be_for_several_audiences() -> None:
    token = SIGNER.token("7", aud=["https://other.example.org", AUDIENCE])

    assert trusting(SIGNER).subject(token) == "7"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"exp": time.time() - LEEWAY_S - 5}, TokenExpired),
        ({"nbf": time.time() + 3600}, TokenNotYetValid),
        ({"aud": "https://other.example.org"}, WrongAudience),
        ({"aud": ["https://other.example.org"]}, WrongAudience),
        ({"iss": "https://evil.example.org"}, WrongIssuer),
        ({"exp": None}, Unauthorized),
        ({"aud": None}, Unauthorized),
        ({"iss": None}, Unauthorized),
        ({"sub": None}, Unauthorized),
        ({"sub": 7}, Unauthorized),
        ({"exp": "never"}, Unauthorized),
        ({"exp": float("inf")}, Unauthorized),
        ({"nbf": 10**400}, TokenNotYetValid),
    ],
)
def test_token_with_a_wrong_claim_is_refused(
    changed: dict[str, Any], error: type[Exception]
) -> None:
    token = SIGNER.sign(claims("7", **changed))

    assert refusal(token, trusting(SIGNER)) is error


def test_clocks_may_disagree_a_little() -> None:
    token = SIGNER.token("7", exp=time.time() - LEEWAY_S / 2)

    assert trusting(SIGNER).subject(token) == "7"


def test_a_bad_signature_reveals_nothing_about_the_claims() -> None:
    stranger = Signer()
    wrong = stranger.token("7", aud="x", iss="x", exp=1)

    assert refusal(wrong, trusting(SIGNER)) is Unauthorized
    assert refusal(stranger.token("7"), trusting(SIGNER)) is Unauthorized


def _part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
def test_unsigned_token_is_refused(name: str) -> None:
    unsigned = f"{_part({'alg': name, 'typ': 'JWT'})}.{_part(claims('7'))}."

    assert refusal(unsigned, trusting(SIGNER)) is Unauthorized


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("secret", ["pem", "jwk"])
def test_public_key_is_no_secret_to_sign_with(algorithm: str, secret: str) -> None:
    """The public key is not secret, so it must not be accepted as an HMAC secret."""
    signer = Signer(algorithm)
    known = signer.pem if secret == "pem" else json.dumps(signer.jwk).encode()
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims('7'))}"
    mac = hmac.new(known, signed.encode(), hashlib.sha256).digest()

    assert refusal(f"{signed}.{_part(mac)}", trusting(signer)) is Unauthorized


def test_other_algorithm_of_the_same_key_is_refused() -> None:
    signer = Signer("RS256")
    tokens = trusting(signer)

    for algorithm in ("RS384", "RS512", "PS256"):
        token = jwt.encode(claims("7"), signer.key, algorithm)
        assert refusal(token, tokens) is Unauthorized


def test_token_brings_no_key_of_its_own() -> None:
    stranger = Signer()
    token = stranger.sign(claims("7"), jwk=stranger.jwk, jku="https://evil.example.org")

    assert refusal(token, trusting(SIGNER)) is Unauthorized


def test_changed_token_is_refused() -> None:
    header, _, signature = SIGNER.token("7").split(".")

    changed = f"{header}.{_part(claims('8'))}.{signature}"

    assert refusal(changed, trusting(SIGNER)) is Unauthorized


def test_name_of_the_key_chooses_among_several() -> None:
    old, new = Signer("RS256", kid="2029"), Signer("ES256", kid="2030")
    tokens = trusting(old, new)

    assert tokens.subject(old.token("7")) == "7"
    assert tokens.subject(new.token("8")) == "8"


def test_token_of_an_unknown_or_unnamed_key_is_refused() -> None:
    one, other = Signer(kid="a"), Signer(kid="b")
    tokens = trusting(one, other)

    assert refusal(Signer(kid="c").token("7"), tokens) is Unauthorized
    assert refusal(one.sign(claims("7"), kid="b"), tokens) is Unauthorized
    unnamed = jwt.encode(claims("7"), one.key, one.algorithm)
    assert refusal(unnamed, tokens) is Unauthorized


def test_single_key_without_a_name_checks_tokens_that_name_one() -> None:
    token = SIGNER.sign(claims("7"), kid="whatever the app calls it")

    assert trusting(SIGNER).subject(token) == "7"


def test_single_key_with_a_name_checks_only_tokens_of_that_name() -> None:
    signer = Signer(kid="a")

    assert refusal(signer.sign(claims("7"), kid="b"), trusting(signer)) is Unauthorized


def test_an_unknown_critical_extension_is_refused() -> None:
    token = SIGNER.sign(claims("7"), crit=["x"], x=1)

    assert refusal(token, trusting(SIGNER)) is Unauthorized


@given(st.text(st.characters(codec="ascii"), max_size=200), st.binary(max_size=200))
def test_whatever_a_stranger_sends_is_only_refused(text: str, raw: bytes) -> None:
    tokens = trusting(SIGNER)

    for token in (text, f"{text}.{text}.", f"{_part(raw)}.{_part(raw)}.{_part(raw)}"):
        assert refusal(token, tokens) is Unauthorized


@pytest.mark.parametrize("deep", [b"[" * 50_000, b'{"a":' * 50_000, b"1" * 50_000])
def test_token_that_is_hard_to_read_is_only_refused(deep: bytes) -> None:
    token = f"{_part(deep)}.{_part(deep)}.{_part(b'x')}"

    assert refusal(token, trusting(SIGNER)) is Unauthorized
