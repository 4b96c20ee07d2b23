"""A mail with messages of one conversation, for one of its members."""

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
from urllib.parse import quote

from models.pushes import Notification
from models.unsubscribe import FIELD, VALUE
from notifier.channels import catalogue, push_ids
from notifier.channels.email import bodies
from notifier.channels.email.bodies import header_text

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
        locale: str | None = None,
    ) -> bytes:
        """The mail with these messages of one conversation, in this order.

        `locale` is the language of our own words in it.
        """
        first, last = notifications[0], notifications[-1]
        subject = _subject(last, locale)
        thread = self._id(push_ids.thread(last))
        mail = EmailMessage(policy=POLICY)
        mail["From"] = self._sender
        mail["To"] = Address(addr_spec=to)
        # The same for each mail of a conversation, because mail programs that ignore
        # References use the subject for their threads.
        mail["Subject"] = subject
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
        mail.set_content(bodies.plain(notifications, locale))
        html = bodies.html(subject, notifications, locale)
        mail.add_alternative(html, subtype="html")
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


def _subject(notification: Notification, locale: str | None) -> str:
    """That of the kind, or the conversation's name."""
    shown = notification.shown
    own = "" if shown is None else shown.block.get("subject") or shown.subtitle
    return (
        header_text(own)
        or header_text(notification.chat_name)
        or catalogue.text("conversation", locale, number=notification.chat_id)
    )
