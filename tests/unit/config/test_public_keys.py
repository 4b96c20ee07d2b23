"""The public keys of the app's own tokens; a refusal says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

import config
from config import Settings, SettingsError, public_keys
from tests.support.app_tokens import ALGORITHMS, Signer, write_jwks

Read = Callable[..., Settings]


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _public(key: Any) -> bytes:
    return key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pem_key_determines_the_algorithm(algorithm: str, tmp_path: Path) -> None:
    (key,) = public_keys.of_pem(_write(tmp_path / "key", Signer(algorithm).pem))

    assert (key.algorithm_name, key.key_id) == (algorithm, None)


def test_private_key_is_refused(tmp_path: Path) -> None:
    private = Signer().key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )

    with pytest.raises(ValueError, match="holds no public key in PEM"):
        public_keys.of_pem(_write(tmp_path / "key", private))


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (rsa.generate_private_key(65537, 1024), "less than 2048 bits"),
        (ec.generate_private_key(ec.SECP384R1()), "is not of a kind for"),
        (ec.generate_private_key(ec.SECP256K1()), "is not of a kind for"),
    ],
    ids=["short RSA", "P-384", "secp256k1"],
)
def test_weak_or_other_keys_are_refused(key: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=problem):
        public_keys.of_pem(_write(tmp_path / "key", _public(key)))


def test_set_keeps_the_keys_that_can_check_tokens(tmp_path: Path) -> None:
    usable = [Signer(algorithm, kid=algorithm).jwk for algorithm in ALGORITHMS]
    for_encryption = {**Signer(kid="e").jwk, "use": "enc"}
    p384 = ECAlgorithm.to_jwk(
        ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True
    )
    rs512 = {**Signer("RS256", kid="r").jwk, "alg": "RS512"}
    foreign = {"kty": "of tomorrow", "kid": "t"}
    others = [for_encryption, {**p384, "kid": "p"}, rs512, foreign]
    others.append({**p384, "kid": "q", "alg": "ES256"})

    keys = public_keys.of_jwks(write_jwks(tmp_path / "set", *usable, *others))

    assert [key.key_id for key in keys] == list(ALGORITHMS)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([], "no key for"),
        ([{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}], "holds a private key"),
        ([{**Signer().jwk, "d": "AQ"}], "holds a private key"),
        ([Signer().jwk, Signer().jwk], "a kid of their own"),
        ([Signer(kid="a").jwk, Signer(kid="a").jwk], "a kid of their own"),
        ([Signer(kid="a").jwk, Signer().jwk], "a kid of their own"),
        (["key"], "holds no JWK Set"),
        (
            [
                RSAAlgorithm.to_jwk(
                    rsa.generate_private_key(65537, 1024).public_key(), as_dict=True
                )
            ],
            "less than 2048 bits",
        ),
    ],
)
def test_set_that_cannot_be_trusted_is_refused(
    members: list[Any], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=problem):
        public_keys.of_jwks(write_jwks(tmp_path / "set", *members))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keys": 1}', "[" * 100_000, "null"])
def test_file_without_a_set_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "set").write_text(text)

    with pytest.raises(ValueError, match="holds no JWK Set"):
        public_keys.of_jwks(tmp_path / "set")


def test_default_settings_have_no_keys(read: Read) -> None:
    assert config.jwt_keys(read()) == []


def test_complete_settings_have_keys(read: Read, tmp_path: Path) -> None:
    settings = read(
        JWT_JWKS_FILE=write_jwks(tmp_path / "set", Signer(kid="a").jwk),
        JWT_AUDIENCE="us",
        JWT_ISSUER="them",
    )

    assert [key.key_id for key in config.jwt_keys(settings)] == ["a"]


@pytest.mark.parametrize("missing", ["KEY_FILE", "AUDIENCE", "ISSUER"])
def test_incomplete_settings_are_refused(
    missing: str, read: Read, tmp_path: Path
) -> None:
    key = _write(tmp_path / "key", Signer().pem)
    filled = {"JWT_KEY_FILE": key, "JWT_AUDIENCE": "us", "JWT_ISSUER": "them"}
    del filled[f"JWT_{missing}"]

    with pytest.raises(SettingsError, match=f"^BOTTLEPOST_JWT_{missing} is missing"):
        read(**filled)


def test_key_and_set_together_are_refused(read: Read, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="JWKS_FILE is set beside a key"):
        read(
            JWT_KEY_FILE=_write(tmp_path / "key", Signer().pem),
            JWT_JWKS_FILE=write_jwks(tmp_path / "set", Signer().jwk),
            JWT_AUDIENCE="us",
            JWT_ISSUER="them",
        )


@pytest.mark.parametrize("name", ["KEY_FILE", "JWKS_FILE"])
def test_useless_file_names_its_variable(name: str, read: Read, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps("nothing of use"))

    with pytest.raises(SettingsError, match=f"^BOTTLEPOST_JWT_{name} holds no"):
        read(**{f"JWT_{name}": tmp_path / "file"}, JWT_AUDIENCE="us", JWT_ISSUER="them")


def test_missing_file_names_its_variable(read: Read, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^BOTTLEPOST_JWT_KEY_FILE cannot"):
        read(JWT_KEY_FILE=tmp_path / "none", JWT_AUDIENCE="us", JWT_ISSUER="them")
