"""The token of a webpush device: the browser's PushSubscription as JSON."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

LONGEST = 4096
# A point on P-256, uncompressed, and the secret that goes with it (RFC 8291 §3.2).
POINT_SIZE = 65
AUTH_SIZE = 16

# A name or an IPv4 address; names beyond ASCII are in their xn-- form.
_is_host = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?").fullmatch
_is_ip6 = re.compile(r"[0-9a-f:.]+").fullmatch
_is_base64 = re.compile(r"[A-Za-z0-9_+/-]+={0,2}").fullmatch
_TO_BASE64URL = str.maketrans("+/", "-_")
_is_url_text = re.compile(r"[!-~]+").fullmatch


class Subscription(NamedTuple):
    """A browser's address at its push service, and the keys to encrypt for it."""

    host: str
    port: int
    # Path and query of the endpoint.
    path: str
    key: ec.EllipticCurvePublicKey
    # The same key, encoded.
    point: bytes
    auth: bytes

    @property
    def origin(self) -> str:
        """Scheme, host and port of the endpoint; 443 is left out (RFC 6454 §6)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}" + ("" if self.port == 443 else f":{self.port}")

    @property
    def token(self) -> str:
        """The subscription as JSON, always spelled alike: it identifies the device."""
        keys = {"p256dh": _base64(self.point), "auth": _base64(self.auth)}
        value = {"endpoint": self.origin + self.path, "keys": keys}
        return json.dumps(value, separators=(",", ":"))


def parse(token: str) -> Subscription:
    """The subscription; raises ValueError with a sentence that says what is wrong."""
    if len(token) > LONGEST:
        raise ValueError(f"a subscription has at most {LONGEST} characters")
    try:
        value = json.loads(token)
    except (ValueError, RecursionError):
        raise ValueError("a subscription must be JSON") from None
    if not isinstance(value, dict):
        raise ValueError("a subscription must be a JSON object")
    host, port, path = _endpoint(value.get("endpoint"))
    keys = value.get("keys")
    if not isinstance(keys, dict):
        raise ValueError("the subscription has no keys")
    point = _bytes(keys, "p256dh", POINT_SIZE)
    auth = _bytes(keys, "auth", AUTH_SIZE)
    return Subscription(host, port, path, _key(point), point, auth)


def _endpoint(url: Any) -> tuple[str, int, str]:
    if not isinstance(url, str) or not _is_url_text(url):
        raise ValueError("the subscription's endpoint must be a URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise ValueError("the subscription's endpoint must be a URL") from None
    if parts.scheme != "https":
        raise ValueError("the subscription's endpoint must begin with https://")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("the subscription's endpoint has a user or a fragment")
    if not (_is_host(host) or (":" in host and _is_ip6(host))) or len(host) > 253:
        raise ValueError("the subscription's endpoint has no valid host name")
    path = parts.path or "/"
    return host.rstrip("."), port, f"{path}?{parts.query}" if parts.query else path


def _bytes(keys: dict[str, Any], name: str, size: int) -> bytes:
    text = keys.get(name)
    if isinstance(text, str) and _is_base64(text):
        # Browsers give base64url, and apps that encode by themselves often the other.
        text = text.rstrip("=").translate(_TO_BASE64URL)
        # A length of 4n + 1 is not valid base64.
        raw = (
            urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if len(text) % 4 != 1
            else b""
        )
        if len(raw) == size:
            return raw
    raise ValueError(f"the subscription's key {name} must be {size} bytes in base64")


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _key(point: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        # Encrypting to a point that is not on the curve would reveal our own key.
        raise ValueError("the subscription's key p256dh is not on P-256") from None
