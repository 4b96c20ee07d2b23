"""The two bodies of a mail: as text and as HTML, with one entry a message."""

import re
from collections.abc import Sequence
from html import escape

from models.pushes import Notification
from notifier.channels import catalogue
from notifier.channels.characters import whole_characters
from notifier.channels.template import clean, one_line

# RFC 5322 allows 998; names are cut long before.
LONGEST_HEADER = 200

_control_characters = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]").sub


def plain(notifications: Sequence[Notification], locale: str | None) -> str:
    return "\n".join(_plain_entry(each, locale) for each in notifications)


def html(title: str, notifications: Sequence[Notification], locale: str | None) -> str:
    entries = "".join(_html_entry(each, locale) for each in notifications)
    return (
        f'<!DOCTYPE html>\n<html{_language(locale)}><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title></head>\n"
        f'<body style="font-family:sans-serif">\n{entries}</body></html>\n'
    )


def header_text(name: str) -> str:
    """A name that is safe in a header: nothing in it can begin another header."""
    # Python decodes "=?utf-8?q?=0A?=" in a header it writes, with its line end.
    text = one_line(clean(name)).replace("=?", "= ?")
    return text[: whole_characters(text, LONGEST_HEADER)]


def _language(locale: str | None) -> str:
    """The attributes of the language; in English as ever, without any."""
    language = catalogue.language(locale)
    if language == catalogue.ENGLISH:
        return ""
    is_rtl = catalogue.is_right_to_left(locale)
    return f' lang="{language}"' + (' dir="rtl"' if is_rtl else "")


def _plain_entry(notification: Notification, locale: str | None) -> str:
    own = _block(notification, "text")
    if own:
        return f"{_lines(own)}\n"
    sender, time = _sender(notification, locale), _time(notification, locale)
    byline = catalogue.text("byline", locale, sender=sender, time=time)
    return f"{byline}\n{_text(notification, locale)}\n"


def _html_entry(notification: Notification, locale: str | None) -> str:
    if own := _block(notification, "html"):
        return f'<div dir="auto">{_lines(own)}</div>\n'
    if own := _block(notification, "text"):
        return f'<p dir="auto">{_with_breaks(_lines(own))}</p>\n'
    return (
        f'<p dir="auto"><b>{escape(_sender(notification, locale))}</b> '
        f'<small style="color:#666">{escape(_time(notification, locale))}</small><br>\n'
        f"{_with_breaks(_text(notification, locale))}</p>\n"
    )


def _block(notification: Notification, name: str) -> str:
    shown = notification.shown
    return "" if shown is None else str(shown.block.get(name) or "")


def _sender(notification: Notification, locale: str | None) -> str:
    shown = notification.shown
    name = notification.heading[0] if shown is None else shown.title
    return header_text(catalogue.translate(name, locale)) or catalogue.text(
        "somebody", locale
    )


def _time(notification: Notification, locale: str | None) -> str:
    return catalogue.time(notification.created_at, locale)


def _text(notification: Notification, locale: str | None) -> str:
    shown = notification.shown
    text = notification.text if shown is None else shown.body
    return _lines(catalogue.translate(text, locale))


def _lines(text: str) -> str:
    """The text with "\\n" as its only line end, and tabs as its only controls."""
    return _control_characters("", "\n".join(clean(text).splitlines()))


def _with_breaks(text: str) -> str:
    return escape(text).replace("\n", "<br>\n")
