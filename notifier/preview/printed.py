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


def text(
    settings: Settings,
    kinds: Mapping[str, dict[str, Any]],
    wanted: Wanted,
    *,
    is_raw: bool = False,
) -> str:
    """Raises ValueError if there is no such kind, and Invalid for wrong changes."""
    if wanted.kind not in kinds and wanted.kind != OF_MESSAGES:
        known = ", ".join(sorted(kinds)) or "none"
        raise ValueError(f"there is no kind {wanted.kind!r}; defined are: {known}")
    parts = requests.previews(settings, kinds, wanted)
    return "\n".join(_one(each, is_raw=is_raw) for each in parts)


def _one(made: Preview, *, is_raw: bool) -> str:
    title = f"=== {TITLES[made.platform]} ==="
    if made.problem:
        return f"{title}\nNothing is sent: {made.problem}.\n"
    if made.platform == "email":
        return f"{title}\n{made.body}"
    headers = "".join(f"{name}: {value}\n" for name, value in made.headers)
    body = made.body if is_raw else indented(made.body)
    return f"{title}\n{made.method} {made.url}\n{headers}\n{body}\n"


def indented(body: str) -> str:
    """JSON for readers."""
    return json.dumps(json.loads(body), ensure_ascii=False, indent=2)
