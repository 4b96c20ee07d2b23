"""The address in a mail that ends the mails to its recipient (RFC 8058)."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64

# What the key is derived for; see `ServiceKey.derive`.
PURPOSE = b"unsubscribe from mails"
PATH = "/unsubscribe/"
# The body of the request that ends the mails.
FIELD, VALUE = "List-Unsubscribe", "One-Click"
_ID_BYTES = 8
_SIGNATURE_BYTES = 16
# 24 bytes are 32 characters, without padding.
TOKEN_LENGTH = (_ID_BYTES + _SIGNATURE_BYTES) * 4 // 3


class UnsubscribeTokens:
    """Signs the number of a device; nobody can guess or change a token.

    A token says nothing about the recipient and does not expire, because mails are
    kept. It is valid in every process that has the same service key.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of_service_key(cls, service_key: str) -> "UnsubscribeTokens":
        return cls(hmac.digest(service_key.encode(), PURPOSE, "sha256"))

    def issue(self, device_id: int) -> str:
        number = device_id.to_bytes(_ID_BYTES, "big")
        return urlsafe_b64encode(number + self._sign(number)).decode()

    def device_of(self, token: str) -> int | None:
        """The device (id) of a token; None for one that is not ours."""
        try:
            content = urlsafe_b64decode(token)
        except (ValueError, NotBase64):
            return None
        number, signature = content[:_ID_BYTES], content[_ID_BYTES:]
        if not hmac.compare_digest(signature, self._sign(number)):
            return None
        return int.from_bytes(number, "big")

    def _sign(self, number: bytes) -> bytes:
        return hmac.digest(self._key, number, "sha256")[:_SIGNATURE_BYTES]
