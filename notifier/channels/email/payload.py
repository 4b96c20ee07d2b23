"""A mail with messages of one conversation, for one of its members."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from email.headerregistry import (
    Address,
    BaseHeader,
    HeaderRegistry,
    UnstructuredHeader,
)
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from html import escape
from urllib.parse import quote

from models.pushes import Notification
from models.unsubscribe import FIELD, VALUE
from notifier.channels.characters import whole_characters
from notifier.channels.template import clean, one_line

# RFC 5322 allows 998; names are cut long before.
LONGEST_HEADER = 200
URLS = "List-Unsubscribe"


class UrlList(UnstructuredHeader, BaseHeader):
    """URLs in angle brackets: one to a line, because none may be folded or encoded."""

    max_count = 1

    def fold(self, *, policy: Policy) -> str:
        lines = f",{policy.linesep} ".join(str(self).split(", "))
        return f"{self.name}: {lines}{policy.linesep}"


HEADERS = HeaderRegistry()
HEADERS.map_to_type(URLS, UrlList)
# Not every server supports 8BITMIME.
POLICY = SMTP.clone(cte_type="7bit", header_factory=HEADERS)

_control_characters = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]").sub


class MailTemplate:
    """The parts that all our mails share: the sender and the way to unsubscribe."""

    def __init__(
        self,
        sender: Address,
        unsubscribe: str | None,
        one_click: Callable[[int], str] | None = None,
    ) -> None:
        self._sender = sender
        self._unsubscribe = unsubscribe
        # The URL of a device, for a POST that ends the mails to it; None without one.
        self._one_click = one_click

    @property
    def address(self) -> str:
        return self._sender.addr_spec

    def write(
        self,
        notifications: Sequence[Notification],
        *,
        to: str,
        device_id: int,
        now: datetime,
    ) -> bytes:
        """The mail with these messages of one conversation, in this order."""
        first, last = notifications[0], notifications[-1]
        chat_name = _header_text(last.chat_name) or f"Conversation {last.chat_id}"
        thread = self._id(f"chat-{last.chat_id}")
        mail = EmailMessage(policy=POLICY)
        mail["From"] = self._sender
        mail["To"] = Address(addr_spec=to)
        # The same for each mail of a conversation, because mail programs that ignore
        # References use the subject for their threads.
        mail["Subject"] = chat_name
        mail["Date"] = format_datetime(now)
        # The same messages to the same device have the same id, so that mail programs
        # can recognise a repeated mail.
        span = f"{first.message_id}-{last.message_id}-{len(notifications)}"
        mail["Message-ID"] = self._id(f"message-{span}-device-{device_id}")
        # No mail has this id: it stands for the conversation and makes it one thread.
        mail["In-Reply-To"] = mail["References"] = thread
        self._let_unsubscribe(mail, device_id)
        # RFC 3834: prevents automatic replies, such as vacation notices.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(_plain(notifications))
        mail.add_alternative(_html(chat_name, notifications), subtype="html")
        return mail.as_bytes()

    def _id(self, name: str) -> str:
        return f"<bottlepost-{name}@{self._sender.domain}>"

    def _let_unsubscribe(self, mail: EmailMessage, device_id: int) -> None:
        """RFC 2369, and RFC 8058, which allows a single URL that is not a mailto."""
        to = quote(self.address, "@")
        other = self._unsubscribe or f"mailto:{to}?subject=unsubscribe%20{device_id}"
        urls = [other]
        if self._one_click is not None:
            url = self._one_click(device_id)
            urls = [url, other] if other.startswith("mailto:") else [url]
            mail["List-Unsubscribe-Post"] = f"{FIELD}={VALUE}"
        mail[URLS] = ", ".join(f"<{url}>" for url in urls)


def _plain(notifications: Sequence[Notification]) -> str:
    return "\n".join(
        f"{_byline(notification)}\n{_text(notification)}\n"
        for notification in notifications
    )


def _html(title: str, notifications: Sequence[Notification]) -> str:
    paragraphs = "".join(
        f'<p dir="auto"><b>{escape(_sender(notification))}</b> '
        f'<small style="color:#666">{_time(notification)}</small><br>\n'
        f"{escape(_text(notification)).replace(chr(10), '<br>' + chr(10))}</p>\n"
        for notification in notifications
    )
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title></head>\n"
        f'<body style="font-family:sans-serif">\n{paragraphs}</body></html>\n'
    )


def _byline(notification: Notification) -> str:
    return f"{_sender(notification)}, {_time(notification)}:"


def _sender(notification: Notification) -> str:
    return _header_text(notification.sender_name) or "Somebody"


def _time(notification: Notification) -> str:
    return notification.created_at.strftime("%Y-%m-%d %H:%M UTC")


def _text(notification: Notification) -> str:
    """The text with "\\n" as its only line end, and tabs as its only controls."""
    return _control_characters("", "\n".join(clean(notification.text).splitlines()))


def _header_text(name: str) -> str:
    """A name that is safe in a header: nothing in it can begin another header."""
    # Python decodes "=?utf-8?q?=0A?=" in a header it writes, with its line end.
    text = one_line(clean(name)).replace("=?", "= ?")
    return text[: whole_characters(text, LONGEST_HEADER)]
