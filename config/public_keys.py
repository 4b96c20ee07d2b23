"""The public keys that check the app's own tokens, from a PEM file or a JWK Set."""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import PyJWK, PyJWTError
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from config.pem import with_line_ends

# Each key has one algorithm, and the token's own claim is ignored. None is symmetric,
# because a key that checks tokens must not be able to make them.
ALGORITHMS: dict[str, type[Any]] = {
    "RS256": RSAAlgorithm,
    "ES256": ECAlgorithm,
    "EdDSA": OKPAlgorithm,
}
SHORTEST_RSA_BITS = 2048


def of_pem(path: Path) -> list[PyJWK]:
    """The key in the file; raises ValueError that says what is wrong."""
    try:
        key = serialization.load_pem_public_key(with_line_ends(path.read_bytes()))
    except (ValueError, OSError, TypeError):
        raise ValueError("holds no public key in PEM") from None
    for name, algorithm in ALGORITHMS.items():
        try:
            return [_usable({**_jwk(algorithm, key), "alg": name})]
        except (PyJWTError, TypeError, AttributeError):
            continue
    raise ValueError("is not of a kind for RS256, ES256 (P-256) or EdDSA (Ed25519)")


def of_jwks(path: Path) -> list[PyJWK]:
    """The usable keys of the set, at least one; raises ValueError."""
    try:
        value = json.loads(path.read_text())
        members = value["keys"]
        if not all(isinstance(member, dict) for member in members):
            raise TypeError
    except (ValueError, OSError, TypeError, KeyError, RecursionError):
        raise ValueError("holds no JWK Set") from None
    if any(member.keys() & {"d", "k"} for member in members):
        raise ValueError("holds a private key; only public ones belong there")
    keys = [key for member in members if (key := _usable_or_none(member)) is not None]
    if not keys:
        raise ValueError("holds no key for RS256, ES256 or EdDSA")
    names = [key.key_id for key in keys]
    if len(set(names)) < len(names) or (None in names and len(names) > 1):
        raise ValueError("holds several keys, and they don't have a kid of their own")
    return keys


def _usable_or_none(member: dict[str, Any]) -> PyJWK | None:
    """The key, or None if it is for another purpose or algorithm."""
    if member.get("use", "sig") != "sig" or not isinstance(member.get("kid", ""), str):
        return None
    try:
        return _usable(member)
    except PyJWTError:
        return None


def _usable(member: dict[str, Any]) -> PyJWK:
    key = PyJWK(member)
    if not _fits(key.algorithm_name, key.key):
        raise PyJWTError
    if isinstance(key.key, rsa.RSAPublicKey) and key.key.key_size < SHORTEST_RSA_BITS:
        raise ValueError(f"holds an RSA key of less than {SHORTEST_RSA_BITS} bits")
    return key


def _fits(algorithm: str, key: Any) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        # The library would accept a key on any curve for ES256.
        return algorithm == "ES256" and key.curve.name == "secp256r1"
    kinds = {"RS256": rsa.RSAPublicKey, "EdDSA": ed25519.Ed25519PublicKey}
    return algorithm in kinds and isinstance(key, kinds[algorithm])


def _jwk(algorithm: type[Algorithm], key: Any) -> dict[str, Any]:
    return dict(algorithm.to_jwk(key, as_dict=True))
