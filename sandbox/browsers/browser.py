"""A browser's subscription, with the keys that never leave the browser."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP256R1()
POINT_SIZE = 65
# Salt, record size, length of the key, and the sender's key.
HEAD_SIZE = 16 + 4 + 1 + POINT_SIZE
# The shortest record: a delimiter and the tag of AES-GCM.
SHORTEST_RECORD = 17


class Unreadable(Exception):
    """The body of a push is not what the browser can decrypt."""


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(CURVE)


@dataclass
class Browser:
    """One subscription (RFC 8291 §3)."""

    endpoint: str = "https://push.example.org/b"
    key: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    @property
    def point(self) -> bytes:
        return point_of(self.key.public_key())

    @property
    def token(self) -> str:
        """The subscription as JSON, as an app registers it."""
        keys = {"p256dh": b64(self.point), "auth": b64(self.auth)}
        value = {"endpoint": self.endpoint, "keys": keys}
        return json.dumps(value, separators=(",", ":"))

    def decrypt(self, body: bytes) -> bytes:
        """The plaintext of one record of aes128gcm (RFC 8188); raises Unreadable."""
        salt, size, id_length = body[:16], int.from_bytes(body[16:20], "big"), body[20:]
        sender, record = body[21:HEAD_SIZE], body[HEAD_SIZE:]
        if id_length[:1] != b"\x41" or not SHORTEST_RECORD <= len(record) <= size:
            raise Unreadable("not one record of aes128gcm with a key of 65 bytes")
        try:
            public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender)
        except ValueError:
            raise Unreadable("the sender's key is not on P-256") from None
        shared = self.key.exchange(ec.ECDH(), public)
        info = b"WebPush: info\x00" + self.point + sender
        secret = _hkdf(self.auth, shared, info, 32)
        key = _hkdf(salt, secret, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = _hkdf(salt, secret, b"Content-Encoding: nonce\x00", 12)
        try:
            padded = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\x00")
        except InvalidTag:
            raise Unreadable("encrypted for other keys, or damaged") from None
        if padded[-1:] != b"\x02":
            raise Unreadable("the last record does not end with its delimiter")
        return padded[:-1]


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
