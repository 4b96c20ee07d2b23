"""The subscriptions that the push services have issued.

Nothing is stored: an endpoint names its subscription, and the browser's keys follow
from it and a secret. So subscriptions stay valid after a restart.
"""

import hashlib
import hmac
import re
from functools import lru_cache
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.browsers.browser import CURVE, Browser, b64

PREFIX = "/push/"
# The order of P-256 is so close to 2**256 that a digest is a good private key.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_PATH = re.compile(r"/push/([a-z-]+)/([\w-]{1,100})\.([\w-]*)\.([\w-]{16})", re.ASCII)
is_name = re.compile(r"[\w-]{1,100}", re.ASCII).fullmatch


class Subscription(NamedTuple):
    """A browser, its name, the manner of its push service, and the key it is for."""

    manner: str
    name: str
    # A digest of the sender's key; empty takes any.
    server_key: str
    browser: Browser


class Subscriptions:
    """Issues subscriptions, and knows those it has issued by their endpoint."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        # Deriving a key takes longer than the rest of a check.
        self.find = lru_cache(maxsize=100_000)(self._find)

    def issue(
        self, origin: str, manner: str, name: str, server_key: str = ""
    ) -> Subscription:
        """The subscription of this name; the same one whenever it is asked for."""
        digest = digest_of(server_key) if server_key else ""
        mac = self._mac(manner, name, digest)
        path = f"{PREFIX}{manner}/{name}.{digest}.{mac}"
        return self._subscription(origin, path, manner, name, digest)

    def _find(self, origin: str, path: str) -> Subscription | None:
        """The subscription of a path; None for a path that was never issued."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        manner, name, digest, mac = found.groups()
        if not hmac.compare_digest(mac, self._mac(manner, name, digest)):
            return None
        return self._subscription(origin, path, manner, name, digest)

    def _mac(self, *parts: str) -> str:
        return b64(self._derive("endpoint", *parts))[:16]

    def _subscription(
        self, origin: str, path: str, manner: str, name: str, digest: str
    ) -> Subscription:
        number = int.from_bytes(self._derive("key", path))
        key = ec.derive_private_key(number % (_ORDER - 1) + 1, CURVE)
        browser = Browser(origin + path, key, self._derive("auth", path)[:16])
        return Subscription(manner, name, digest, browser)

    def _derive(self, *parts: str) -> bytes:
        return hmac.digest(self._secret, "\0".join(parts).encode(), "sha256")


def digest_of(server_key: str) -> str:
    """What an endpoint says about the sender's key."""
    return b64(hashlib.sha256(server_key.encode()).digest())[:16]
