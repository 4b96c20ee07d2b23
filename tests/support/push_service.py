"""A browser and its push service, which checks RFC 8030, 8188, 8291 and 8292.

It shares no code with the product and responds like a strict service.
"""

import asyncio
import json
import re
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support import h2_peer
from tests.support.h2_peer import Peer, PeerRequest

_VAPID = re.compile(r"vapid t=([\w-]+\.[\w-]+\.[\w-]+), ?k=([\w-]+)")


class Refusal(Exception):
    """A refused request: the status and the reason."""


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


@dataclass
class Browser:
    """One subscription, with the keys that never leave the browser."""

    endpoint: str = "https://push.example.org/b"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    # The applicationServerKey it subscribed to; None takes any.
    server_key: str | None = None

    @property
    def point(self) -> bytes:
        return self.key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    @property
    def token(self) -> str:
        keys = {"p256dh": b64(self.point), "auth": b64(self.auth)}
        value = {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}
        return json.dumps(value, separators=(",", ":"))

    def decrypt(self, body: bytes) -> bytes:
        """The plaintext; raises Refusal or InvalidTag when the body is not proper."""
        salt, size, id_length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, records = body[21 : 21 + id_length], body[21 + id_length :]
        if size < 18 or id_length != 65 or not 0 < len(records) <= size:
            raise Refusal(400, "not one record of aes128gcm")
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self.key.exchange(ec.ECDH(), public)
        info = b"WebPush: info\x00" + self.point + sender
        secret = hkdf(self.auth, shared, info, 32)
        key = hkdf(salt, secret, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = hkdf(salt, secret, b"Content-Encoding: nonce\x00", 12)
        padded = AESGCM(key).decrypt(nonce, records, None).rstrip(b"\x00")
        if padded[-1:] != b"\x02":
            raise Refusal(400, "the last record has no delimiter of its own")
        return padded[:-1]


@dataclass
class Delivered:
    """A push that the service has accepted, as the browser reads it."""

    browser: Browser
    headers: dict[str, str]
    body: bytes
    claims: dict[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.browser.decrypt(self.body))
        return value


# Status, headers and body.
Response = tuple[int, dict[str, str], bytes]


@dataclass
class PushService:
    """The service's state: the responses that a test sets, and what has arrived."""

    peer: Peer
    inbox: list[Delivered] = field(default_factory=list)
    # By path: the response to every request.
    told: dict[str, Response] = field(default_factory=dict)
    # By path: how many bytes a push may have.
    most_bytes: dict[str, int] = field(default_factory=dict)
    # The response to every request of all paths.
    told_all: Response | None = None
    # Paths whose requests get no response before the test sends one.
    hanging: set[str] = field(default_factory=set)
    held: list[PeerRequest] = field(default_factory=list)
    # Every request's path, also of those refused.
    seen: list[str] = field(default_factory=list)
    _browsers: dict[str, Browser] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return self.peer.url

    def subscribe(self, server_key: str | None = None) -> Browser:
        path = f"/push/{secrets.token_urlsafe(12)}"
        browser = Browser(self.origin + path, server_key=server_key)
        self._browsers[path] = browser
        return browser

    def tell(
        self, browser: Browser, status: int, body: bytes = b"", **headers: str
    ) -> None:
        """Respond like this to every push to the browser."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.told[self._path(browser)] = status, named, body

    def hang(self, browser: Browser) -> None:
        """Do not respond to pushes to the browser."""
        self.hanging.add(self._path(browser))

    def _path(self, browser: Browser) -> str:
        return browser.endpoint.removeprefix(self.origin)

    def payloads(self) -> list[dict[str, Any]]:
        return [delivered.payload for delivered in self.inbox]

    def react(self, request: PeerRequest) -> None:
        self.seen.append(request.path)
        if request.path in self.hanging:
            self.held.append(request)
            return
        told = self.told_all or self.told.get(request.path)
        if told is not None:
            status, headers, body = told
            request.answer(status, headers.items(), body)
            return
        try:
            self.inbox.append(self._take(request))
        except Refusal as refusal:
            status, word = refusal.args
            request.answer(status, body=json.dumps({"message": word}).encode())
        else:
            location = f"{self.origin}/message/{len(self.inbox)}"
            request.answer(201, [("location", location)])

    def _take(self, request: PeerRequest) -> Delivered:
        headers = dict(request.headers)
        browser = self._browsers.get(request.path)
        if headers[":method"] != "POST" or browser is None:
            raise Refusal(404, "no such subscription")
        claims, key = self._identify(headers.get("authorization", ""))
        if browser.server_key not in (None, key):
            raise Refusal(403, "the key does not correspond to the subscription's")
        if not headers.get("ttl", "").isdigit():
            raise Refusal(400, "TTL is missing")
        if headers.get("urgency") not in ("very-low", "low", "normal", "high"):
            raise Refusal(400, "unknown urgency")
        topic = headers.get("topic", "")
        # As Apple, which decodes it.
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", topic) or len(topic) % 4 == 1:
            raise Refusal(400, "bad topic")
        if headers.get("content-encoding") != "aes128gcm":
            raise Refusal(415, "unknown content encoding")
        if len(request.body) > self.most_bytes.get(request.path, 4096):
            raise Refusal(413, "too large")
        return Delivered(browser, headers, request.body, claims)

    def _identify(self, authorization: str) -> tuple[dict[str, Any], str]:
        found = _VAPID.fullmatch(authorization)
        if found is None:
            raise Refusal(401, "no VAPID")
        token, key = found.groups()
        try:
            public = ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), unb64(key)
            )
            claims = jwt.decode(
                token,
                public,
                algorithms=["ES256"],
                audience=self.origin,
                options={"require": ["aud", "exp", "sub"]},
            )
        except (ValueError, jwt.InvalidTokenError) as problem:
            raise Refusal(401, f"VAPID: {problem}") from problem
        if claims["exp"] > time.time() + 24 * 3600:
            raise Refusal(401, "VAPID: too long")
        if not str(claims["sub"]).startswith(("mailto:", "https://")):
            raise Refusal(401, "VAPID: no contact")
        return claims, key


def create() -> PushService:
    """A service that does not listen yet."""
    peer = Peer()
    service = PushService(peer)
    peer.on_request = service.react
    return service


@asynccontextmanager
async def run() -> AsyncIterator[PushService]:
    """A service behind TLS and HTTP/2 on a free port of the loopback."""
    service = create()
    async with h2_peer.serve(service.peer):
        yield service


@contextmanager
def in_thread() -> Iterator[PushService]:
    """The same for a test that is no coroutine, in a thread of its own."""
    up: Future[PushService] = Future()
    over = asyncio.Event()

    async def serve() -> None:
        async with run() as service:
            up.set_result(service)
            await over.wait()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield up.result(timeout=60)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
