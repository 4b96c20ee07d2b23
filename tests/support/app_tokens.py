"""The app's own tokens: keys, and tokens signed with them."""

import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "https://chat.example.org"
ISSUER = "https://app.example.org/"
ALGORITHMS = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def claims(subject: Any, **changed: Any) -> dict[str, Any]:
    """The claims of a valid token; None leaves a claim out."""
    valid = {"sub": subject, "aud": AUDIENCE, "iss": ISSUER, "exp": time.time() + 60}
    return {k: v for k, v in (valid | changed).items() if v is not None}


@dataclass(frozen=True)
class Signer:
    """Signs tokens with one key."""

    algorithm: str = "ES256"
    kid: str | None = None

    @cached_property
    def key(self) -> Any:
        if self.algorithm == "RS256":
            return rsa.generate_private_key(65537, 2048)
        if self.algorithm == "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        return ec.generate_private_key(ec.SECP256R1())

    def token(self, subject: Any, **changed: Any) -> str:
        return self.sign(claims(subject, **changed))

    def sign(self, payload: dict[str, Any], **header: Any) -> str:
        if self.kid is not None:
            header = {"kid": self.kid, **header}
        return jwt.encode(payload, self.key, self.algorithm, headers=header)

    @property
    def pem(self) -> bytes:
        return self.key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key."""
        to_jwk = ALGORITHMS[self.algorithm].to_jwk
        value = to_jwk(self.key.public_key(), as_dict=True)
        return {**value, "alg": self.algorithm, "use": "sig", **self._named()}

    def _named(self) -> dict[str, str]:
        return {} if self.kid is None else {"kid": self.kid}


def write_jwks(path: Path, *members: Any) -> Path:
    path.write_text(json.dumps({"keys": members}))
    return path
