"""Signing provider tokens for APNs."""

import hashlib
import time
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config.pem import with_line_ends
from notifier.channels import MintedToken

# Apple accepts a token for an hour and no new one within 20 minutes. The datastore
# renews shared tokens five minutes before this lifetime ends.
LIFETIME_S = 50 * 60.0


class SigningKey:
    """The .p8 key of a team; signs provider tokens.

    apns2's TokenCredentials would do this too, but writes the time of issue as a
    fraction, which Apple refuses, and makes one token in each process.
    """

    def __init__(self, path: Path, *, key_id: str, team_id: str) -> None:
        pem = path.read_bytes()
        self._key = _private_key(pem, path)
        self._key_id = key_id
        self._team_id = team_id
        # A new key with the same id must not get the tokens of the old one.
        digest = hashlib.sha256(pem).hexdigest()[:12]
        self.name = f"apns {team_id} {key_id} {digest}"

    async def mint(self) -> MintedToken:
        token = jwt.encode(
            {"iss": self._team_id, "iat": int(time.time())},
            self._key,
            algorithm="ES256",
            headers={"kid": self._key_id},
        )
        return MintedToken(token, LIFETIME_S)


def _private_key(pem: bytes, path: Path) -> EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(with_line_ends(pem), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise ValueError(f"{path} holds no readable private key") from problem
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError(f"{path} is not a key for APNs: it must be of the curve P-256")
    if not isinstance(key.curve, SECP256R1):
        raise ValueError(f"{path} is not a key for APNs: its curve is not P-256")
    return key
