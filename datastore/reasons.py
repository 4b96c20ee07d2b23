"""Reasons of providers as labels of metrics: a few words, and nothing about members."""

import re

OTHER = "other"

# A status of HTTP or SMTP, with SMTP's enhanced code. Servers that members name, and
# mail servers, add any text.
_code = re.compile(r"[1-5]\d\d( [245]\.\d{1,3}\.\d{1,3}\b)?").match
# Names such as BadDeviceToken and INVALID_ARGUMENT, which Apple and Google define.
_name = re.compile(r"[A-Z][A-Za-z]{2,39}\b|[A-Z][A-Z_]{2,39}\b").match
_NAMED = frozenset({"apns", "fcm"})


def label(platform: str, reason: str) -> str:
    """The part of the reason that is one of a fixed number of values."""
    if found := _code(reason):
        return found[0]
    if reason.startswith("status ") and _code(reason[7:]):
        return reason[:10]
    if platform in _NAMED and (found := _name(reason)):
        return found[0]
    return OTHER
