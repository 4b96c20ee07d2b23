"""Sends web pushes to the sandbox; it shares no code with the product."""

import json
import os
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sandbox.browsers.browser import b64, point_of, unb64
from tests.support.provider_client import ProviderClient, Reply
from tests.support.sandbox import Sandbox

TEXT = {"title": "Ann", "body": "Hello"}


@dataclass
class WebpushSender:
    """One sender with its key, over one connection."""

    sandbox: Sandbox
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.client = ProviderClient(self.sandbox.url, self.sandbox.ca_file)
        self.public = b64(point_of(self.key.public_key()))

    def subscribe(self, manner: str = "strict", **more: str) -> dict[str, Any]:
        return self.sandbox.subscribe(manner=manner, server_key=self.public, **more)

    def authorization(
        self, key: ec.EllipticCurvePrivateKey | None = None, **changes: Any
    ) -> str:
        """VAPID; a claim of None is left out."""
        claims = {
            "aud": self.sandbox.url,
            "exp": int(time.time()) + 3600,
            "sub": "mailto:ops@example.org",
            **changes,
        }
        given = {name: one for name, one in claims.items() if one is not None}
        token = jwt.encode(given, key or self.key, algorithm="ES256")
        return f"vapid t={token}, k={self.public}"

    def push(
        self, subscription: dict[str, Any], text: Any = None, **headers: str | None
    ) -> Reply:
        """Send a push; a header of None is left out."""
        plain = text if isinstance(text, bytes) else json.dumps(text or TEXT).encode()
        return self.post(subscription, encrypt(plain, subscription), **headers)

    def post(
        self, subscription: dict[str, Any], body: bytes, **headers: str | None
    ) -> Reply:
        path = urlsplit(subscription["endpoint"]).path
        method = headers.pop("method", None) or "POST"
        fields = {
            "authorization": self.authorization(),
            "content_encoding": "aes128gcm",
            "ttl": "60",
            **headers,
        }
        given = [(name.replace("_", "-"), one) for name, one in fields.items() if one]
        return self.client.request(method, path, given, body)


def encrypt(plain: bytes, subscription: dict[str, Any]) -> bytes:
    """One record of aes128gcm (RFC 8188, RFC 8291)."""
    point = unb64(subscription["keys"]["p256dh"])
    auth = unb64(subscription["keys"]["auth"])
    own, salt = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
    sender = point_of(own.public_key())
    browser = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    shared = own.exchange(ec.ECDH(), browser)
    info = b"WebPush: info\x00" + point + sender
    secret = HKDF(SHA256(), 32, auth, info).derive(shared)
    key = HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(secret)
    nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(secret)
    record = AESGCM(key).encrypt(nonce, plain + b"\x02", None)
    return salt + (4096).to_bytes(4) + bytes([len(sender)]) + sender + record
