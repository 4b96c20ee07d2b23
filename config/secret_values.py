"""The secrets among the settings, as they may turn up in a log."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

# Secret as a whole.
_KEYS = ("service_key", "service_key_old", "manager_authkey", "apns_key_id")
# Each may contain a password.
_URLS = ("database_url", "push_proxy", "smtp_url", "redis_url", "broker_url")


def of(settings: Any) -> frozenset[str]:
    """The keys, and the users and passwords in URLs, also without their escapes."""
    found = {getattr(settings, name) for name in _KEYS}
    for name in _URLS:
        found |= _of_url(getattr(settings, name))
    return frozenset(text for text in found if text)


def _of_url(url: str | None) -> set[str]:
    if url is None:
        return set()
    try:
        parts = urlsplit(url)
    except ValueError:
        return set()
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    options = dict(parse_qsl(parts.query))
    found = {password, options.get("password", "")}
    if parts.scheme.startswith("smtp"):
        # It is a mail address as a rule.
        found.add(user)
    return found | {unquote(text) for text in found}
