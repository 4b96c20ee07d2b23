"""The push services' rules for the headers and the size of a push."""

import re

from sandbox.browsers.manners import WebpushRefusal
from sandbox.wire.exchange import Fields

MANNERS = (
    "strict",
    "apple",
    "edge",
    "google",
    "mozilla",
    "mozilla-phone",
    "unifiedpush",
)
# These check what the others do not look at.
PARTICULAR = ("strict", "apple")
LARGEST = 4096
# A push for Firefox on phones goes through another service, which adds to it: its text
# may have 2,744 bytes, and encryption adds 103.
LARGEST_FOR_PHONE = 2744 + 103
DAY_S = 24 * 3600
LONGEST_TTL_S = 30 * DAY_S
LONGEST_TTL_OF_PHONE_S = 28 * DAY_S
SHORTEST_TTL_OF_PHONE_S = 60
URGENCIES = ("very-low", "low", "normal", "high")
is_ttl = re.compile(r"\d{1,15}", re.ASCII).fullmatch
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_OLD_KEYS = re.compile(r"(?:^|[;,])\s*(?:salt|dh)=")


def check(manner: str, fields: Fields, body: bytes) -> int:
    """Check the headers and the size; returns the TTL that the service grants."""
    _check_encoding(fields, body)
    ttl_s = _ttl_s(fields)
    if manner == "edge":
        _check_cache_policy(fields.get("x-wns-cache-policy"), ttl_s)
    if manner in PARTICULAR and fields.get("urgency", "normal") not in URGENCIES:
        raise WebpushRefusal("urgency")
    topic = fields.get("topic")
    if topic is not None and not is_topic(topic, manner):
        raise WebpushRefusal("topic")
    largest = LARGEST_FOR_PHONE if manner == "mozilla-phone" else LARGEST
    if len(body) > largest:
        raise WebpushRefusal("too-large")
    if manner == "mozilla-phone":
        return min(max(ttl_s, SHORTEST_TTL_OF_PHONE_S), LONGEST_TTL_OF_PHONE_S)
    return min(ttl_s, LONGEST_TTL_S)


def _check_encoding(fields: Fields, body: bytes) -> None:
    if fields.get("content-encoding") != "aes128gcm":
        raise WebpushRefusal("encoding", "Content-Encoding must be aes128gcm")
    # With the encoding of the final standard, both are in the body.
    for name in ("encryption", "crypto-key"):
        if _OLD_KEYS.search(fields.get(name, "")):
            raise WebpushRefusal("encoding", f"{name} has salt= or dh=")
    if not body:
        raise WebpushRefusal("encoding", "the body is empty")


def _ttl_s(fields: Fields) -> int:
    text = fields.get("ttl")
    if text is None:
        raise WebpushRefusal("no-ttl")
    if not is_ttl(text):
        raise WebpushRefusal("ttl")
    return int(text)


def _check_cache_policy(policy: str | None, ttl_s: int) -> None:
    """Edge keeps a push only if both say so; without TTL it needs its own header."""
    if policy not in (None, "cache", "no-cache"):
        raise WebpushRefusal("cache-policy")
    if (policy == "no-cache") != (ttl_s == 0) and not (policy is None and ttl_s):
        raise WebpushRefusal("cache-policy")


def is_topic(topic: str, manner: str) -> bool:
    # Apple decodes it, and base64 never has a length of 4n + 1.
    fits = len(topic) % 4 != 1 or manner not in PARTICULAR
    return fits and _TOPIC.fullmatch(topic) is not None
