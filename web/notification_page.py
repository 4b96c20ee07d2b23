"""The page with the kinds of notifications, and what each platform shows of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from bottle import HTTPResponse

from datastore import kinds
from models.errors import NotFound
from models.kinds import OF_MESSAGES
from models.previews import Preview, Seen
from web import login_page
from web.page_request import PageRequest, page

PATH = "/notifications"
LONGEST_TEXT = 4000
LONGEST_LOCALE = 35


class DrawnDevice(NamedTuple):
    """A device as the page draws it."""

    title: str
    # Its classes in the style sheet.
    look: str
    seen: Seen
    # In place of what is seen.
    problem: str = ""


class DrawnRequest(NamedTuple):
    """A request, and the devices that show it."""

    title: str
    devices: list[DrawnDevice]
    # As it would be sent; empty if nothing is.
    text: str


NAMES = {
    "apns": ("Apple Push Notification service", "iPhone", "apns"),
    "fcm": ("Firebase Cloud Messaging", "Android", "fcm"),
    "webpush": ("Web push, before it is encrypted", "Browser", "browser"),
    "email": ("Mail", "Mailbox", "mail"),
}


def show(request: PageRequest) -> HTTPResponse:
    """The kinds, and the chosen one on each platform."""
    if not request.is_operator:
        return login_page.form(PATH)
    query = parse_qs(request.environ.get("QUERY_STRING", ""))
    chosen = query.get("kind", [OF_MESSAGES])[0]
    locale = query.get("locale", [""])[0].strip()[:LONGEST_LOCALE]
    text = query.get("text", [""])[0].strip()[:LONGEST_TEXT]
    with request.app.store.read() as session:
        defined = kinds.all(session)
    if chosen not in defined and chosen != OF_MESSAGES:
        raise NotFound("There is no kind with this name.")
    draw = request.app.preview
    previews: Sequence[Preview] = ()
    if draw is not None:
        previews = draw(
            defined,
            chosen,
            locale=locale or None,
            is_mentioned="mentioned" in query,
            text=text,
        )
    return page(
        "notifications",
        title="Notifications",
        names=sorted({OF_MESSAGES, *defined}),
        definitions=defined,
        chosen=chosen,
        definition=_json(defined.get(chosen)),
        locale=locale,
        is_mentioned="mentioned" in query,
        text=text,
        drawn=[_drawn(each) for each in previews],
    )


def _drawn(preview: Preview) -> DrawnRequest:
    title, device, look = NAMES[preview.platform]
    devices = [DrawnDevice(device, look, preview.seen, preview.problem)]
    if preview.seen_by_iphone is not None:
        behind = DrawnDevice(
            "iPhone, registered with FCM", "apns", preview.seen_by_iphone
        )
        devices.append(behind)
    return DrawnRequest(title, devices, _text(preview))


def _text(preview: Preview) -> str:
    if preview.problem:
        return ""
    if preview.platform == "email":
        return preview.body.replace("\r\n", "\n")
    lines = [f"{preview.method} {preview.url}"]
    lines += [f"{name}: {value}" for name, value in preview.headers]
    return "\n".join([*lines, "", _json(json.loads(preview.body))])


def _json(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, indent=2)
