"""Members who read by mail: messages of a conversation, handed to an SMTP server."""

import asyncio
import ssl
from collections.abc import Sequence
from email.headerregistry import Address

from config import Settings, smtp
from models import addresses
from models.base import utc_now
from models.pushes import MESSAGE, Notification, Target
from notifier.channels import Channel, ProviderTokens, Report, Troubles
from notifier.channels.email import digest
from notifier.channels.email.digest import DigestEntry, Digests
from notifier.channels.email.payload import MailTemplate
from notifier.channels.email.relay import Relay
from notifier.channels.misconfigured import Misconfigured
from notifier.outcome import ACCEPTED, Kind, Outcome


class Email:
    """Sends mails over one connection; one mail may hold messages of many jobs."""

    def __init__(
        self,
        relay: Relay,
        template: MailTemplate,
        *,
        window_s: float,
        gather_s: float = digest.GATHER_S,
    ) -> None:
        self._relay = relay
        self._template = template
        self._window_s = window_s
        self._digests = Digests(self._deliver, gather_s=gather_s if window_s else 0)

    def render(self, notification: Notification) -> Notification:
        if notification.kind == MESSAGE and notification.silent:
            raise ValueError("a silent message is not mailed")
        return notification

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        if rendered.kind != MESSAGE:
            # What was mailed cannot be taken back, and a mail has no badge.
            for target in targets:
                report(target, ACCEPTED)
            return
        mails = [self._mail(rendered, target, report) for target in targets]
        ends = await asyncio.gather(*mails, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _mail(
        self, notification: Notification, target: Target, report: Report
    ) -> None:
        try:
            address = addresses.parse(target.token)
        except ValueError as problem:
            report(target, Outcome(Kind.SUSPECT, str(problem)))
            return
        wait_s = digest.pause_s(notification, target, utc_now(), self._window_s)
        if wait_s is not None:
            report(target, Outcome(Kind.LATER, "waits for its digest", wait_s))
            return
        report(target, await self._digests.join(notification, target, address))

    async def _deliver(self, address: str, entries: Sequence[DigestEntry]) -> Outcome:
        # An address may be two devices, written with different capitals.
        notifications = {
            entry.notification.message_id: entry.notification for entry in entries
        }
        mail = self._template.write(
            sorted(notifications.values(), key=lambda notification: notification.seq),
            to=address,
            device_id=min(entry.target.device_id for entry in entries),
            now=utc_now(),
        )
        return await self._relay.hand_in(self._template.address, address, mail)

    async def close(self) -> None:
        await self._digests.close()
        await self._relay.close()


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Channel | None:
    """The channel of the settings; None when they have no SMTP server."""
    if settings.smtp_url is None or settings.smtp_from is None:
        return None
    try:
        tls = ssl.create_default_context(cafile=settings.ca_file)
    except (ssl.SSLError, OSError):
        reason = f"{settings.ca_file} holds no usable certificates"
        return Misconfigured("email", reason, troubles)
    sender: Address = smtp.sender(settings.smtp_from)
    return Email(
        Relay(smtp.server(settings.smtp_url), troubles, tls=tls),
        MailTemplate(sender, settings.smtp_unsubscribe),
        window_s=settings.smtp_digest_s,
    )
