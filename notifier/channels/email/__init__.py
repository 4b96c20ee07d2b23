"""Mails with the messages of a conversation, sent through an SMTP server."""

from collections.abc import Callable, Sequence
from email.headerregistry import Address

from config import Settings, smtp
from models import addresses
from models.base import utc_now
from models.pushes import MESSAGE, Notification, Target
from models.unsubscribe import PATH, UnsubscribeTokens
from notifier.channels import ProviderTokens, Report, Troubles
from notifier.channels.batch import wait_for_all
from notifier.channels.email import digest
from notifier.channels.email.connection import Mail
from notifier.channels.email.digest import DigestEntry, Digests, DigestsFull
from notifier.channels.email.payload import MailTemplate
from notifier.channels.email.relay import Relay
from notifier.channels.tls import trusting
from notifier.outcome import ACCEPTED, Kind, Outcome

_TOO_MANY_MAILS = Outcome(
    Kind.LATER, "other mails are under way", digest.BUSY_PAUSE_S, tried=False
)


class Email:
    """Sends mails over one connection; one mail may hold messages of many jobs."""

    awaits_token = False

    def __init__(
        self,
        relay: Relay,
        template: MailTemplate,
        *,
        window_s: float,
        collect_s: float = digest.COLLECT_S,
    ) -> None:
        self._relay = relay
        self._template = template
        self._window_s = window_s
        self._digests = Digests(self._deliver, collect_s=collect_s if window_s else 0)

    def render(self, notification: Notification) -> Notification:
        if notification.kind == MESSAGE and notification.silent:
            raise ValueError("a silent message is not mailed")
        return notification

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        if rendered.kind != MESSAGE:
            # A sent mail cannot be withdrawn, and a mail has no badge.
            report(targets, ACCEPTED)
            return
        await wait_for_all(self._mail(rendered, target, report) for target in targets)

    async def _mail(
        self, notification: Notification, target: Target, report: Report
    ) -> None:
        try:
            address = addresses.parse(target.token)
        except ValueError as problem:
            report((target,), Outcome(Kind.SUSPECT, str(problem)))
            return
        wait_s = digest.pause_s(notification, target, utc_now(), self._window_s)
        if wait_s is not None:
            report((target,), Outcome(Kind.LATER, "waits for its digest", wait_s))
            return
        try:
            outcome = self._digests.add(notification, target, address)
        except DigestsFull:
            report((target,), _TOO_MANY_MAILS)
        else:
            report((target,), await outcome)

    async def _deliver(self, address: str, entries: Sequence[DigestEntry]) -> Outcome:
        # Two devices may have the same address, in different upper and lower case.
        notifications = {
            entry.notification.message_id: entry.notification for entry in entries
        }
        device = min(
            (entry.target for entry in entries), key=lambda target: target.device_id
        )
        mail = self._template.write(
            sorted(notifications.values(), key=lambda notification: notification.seq),
            to=address,
            device_id=device.device_id,
            now=utc_now(),
            locale=device.locale,
        )
        # The first try has only waited for its digest.
        device = device._replace(attempts=max(device.attempts - 1, 0))
        letter = Mail(self._template.address, address, mail)
        return await self._relay.send(letter, device)

    async def close(self) -> None:
        await self._digests.close()
        await self._relay.close()


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Email | None:
    """The channel of the settings; None without an SMTP server or a sender.

    Raises ValueError naming the file that cannot be used.
    """
    if settings.smtp_url is None or settings.smtp_from is None:
        return None
    tls = trusting(settings.ca_file)
    sender: Address = smtp.sender(settings.smtp_from)
    return Email(
        Relay(
            smtp.server(settings.smtp_url),
            troubles,
            tls=tls,
            own_name=settings.smtp_ehlo,
        ),
        MailTemplate(sender, settings.smtp_unsubscribe, _one_click(settings)),
        window_s=settings.smtp_digest_s,
    )


def _one_click(settings: Settings) -> Callable[[int], str] | None:
    """The URL that ends the mails to a device; None if nobody could reach it."""
    if settings.public_url is None:
        return None
    tokens = UnsubscribeTokens.of_service_key(settings.service_key)
    prefix = settings.public_url + PATH
    return lambda device_id: prefix + tokens.issue(device_id)
