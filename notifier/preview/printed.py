"""The previews of a command: requests as text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from config import Settings
from models.kinds import OF_MESSAGES
from models.previews import Preview
from notifier.preview import requests, sample
from notifier.preview.requests import PLATFORMS, Wanted
from notifier.preview.sample import SampleMessage

TITLES = {
    "apns": "APNs",
    "fcm": "FCM",
    "webpush": "Web push (the text before it is encrypted for one browser)",
    "email": "Mail",
}


def wanted(
    kind: str,
    locale: str | None,
    is_mentioned: bool,
    platforms: Sequence[str],
    message: bytes | None,
) -> Wanted:
    """What the options ask for; raises ValueError for a wrong sample message."""
    try:
        found = SampleMessage() if message is None else sample.read(message)
    except ValueError as problem:
        raise ValueError(f"the sample message is wrong: {problem}") from None
    return Wanted(kind, locale, is_mentioned, tuple(platforms) or PLATFORMS, found)


def made(
    settings: Settings, kinds: Mapping[str, dict[str, Any]], wanted: Wanted
) -> Sequence[Preview]:
    """Raises ValueError if there is no such kind, and Invalid for wrong changes."""
    if wanted.kind not in kinds and wanted.kind != OF_MESSAGES:
        known = ", ".join(sorted(kinds)) or "none"
        raise ValueError(f"there is no kind {wanted.kind!r}; defined are: {known}")
    return requests.previews(settings, kinds, wanted)


def text(previews: Sequence[Preview], *, is_raw: bool = False) -> str:
    """For people."""
    return "\n".join(_one(each, is_raw=is_raw) for each in previews)


def records(previews: Sequence[Preview]) -> list[dict[str, Any]]:
    """For scripts: the request for each platform, or why there is none."""
    return [
        {
            "platform": each.platform,
            "method": each.method or None,
            "url": each.url or None,
            "headers": dict(each.headers),
            "body": each.body or None,
            "problem": each.problem or None,
        }
        for each in previews
    ]


def _one(one: Preview, *, is_raw: bool) -> str:
    title = f"=== {TITLES[one.platform]} ==="
    if one.problem:
        return f"{title}\nNothing is sent: {one.problem}.\n"
    if one.platform == "email":
        return f"{title}\n{one.body}"
    headers = "".join(f"{name}: {value}\n" for name, value in one.headers)
    body = one.body if is_raw else indented(one.body)
    return f"{title}\n{one.method} {one.url}\n{headers}\n{body}\n"


def indented(body: str) -> str:
    """JSON for readers."""
    return json.dumps(json.loads(body), ensure_ascii=False, indent=2)
