"""An SMTP server in the test's process, with the channel that sends mails to it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from ssl import SSLContext

import config
from models.pushes import Target
from notifier.channels import Channel
from notifier.outcome import Kind
from tests.support import smtp_server, tls
from tests.support.channel_service import ChannelService
from tests.support.notifications import make_target
from tests.support.smtp_server import MailServer

SENDER = "chat@harbour.example"
REPLIES = {
    Kind.GONE: "550 5.1.1 no such user",
    Kind.SUSPECT: "550 no",
    Kind.REFUSED: "550 5.7.1 you look like spam",
    Kind.LATER: "450 4.2.0 greylisted",
}


class EmailService(ChannelService):
    """The mail channel, without digests unless a test configures them."""

    platform = "email"
    unsendable = {"silent": True}  # noqa: RUF012
    # Rendering a mail takes some milliseconds of the event loop.
    many = 200
    # SMTP has no such reply.
    has_retry_after = False

    def __init__(self, server: MailServer, run_dir: Path) -> None:
        super().__init__(
            config.from_env(
                {
                    "BOTTLEPOST_RUN_DIR": str(run_dir),
                    "BOTTLEPOST_SERVICE_KEY": "k" * 16,
                    "BOTTLEPOST_CA_FILE": str(tls.authority().ca_file),
                    # Replaced by the URL of the server when the channel is created.
                    "BOTTLEPOST_SMTP_URL": "smtp://localhost:1",
                    "BOTTLEPOST_SMTP_FROM": f"Harbour Chat <{SENDER}>",
                    "BOTTLEPOST_SMTP_DIGEST_S": "0",
                }
            )
        )
        self.server = server
        self.scheme = "smtp"
        # Appended to the URL, such as "?tls=starttls".
        self.options = ""
        # The password in the settings, where it is not the server's.
        self.password: str | None = None
        self._listening = AsyncExitStack()

    @property
    def channel(self) -> Channel:
        if self._channel is None:
            url = self.server.url(self.scheme, self.options, password=self.password)
            self.configure(smtp_url=url)
        return super().channel

    def device(self, number: int, kind: Kind = Kind.ACCEPTED) -> Target:
        address = f"user{number}@example.org"
        if kind in REPLIES:
            self.server.to_recipient[address] = REPLIES[kind]
        # The first try only puts a message off until its digest.
        return make_target(number, address, platform=self.platform, attempts=1)

    def hanging_device(self, number: int) -> Target:
        self.server.gate.clear()
        return self.device(number)

    def stop_hanging(self) -> None:
        self.server.gate.set()

    def accepted(self) -> list[int]:
        users = [mail.recipient.partition("@")[0] for mail in self.server.inbox]
        return [int(user.removeprefix("user")) for user in users]

    def request_count(self) -> int:
        return self.server.senders

    def refuse_credentials(self, *, refuse: bool = True) -> None:
        self.server.to_sender = "553 5.7.1 not your address" if refuse else None

    async def stop(self) -> None:
        await self._listening.aclose()

    async def start(self, *, implicit_tls: SSLContext | None = None) -> None:
        listening = smtp_server.run(self.server, implicit_tls=implicit_tls)
        await self._listening.enter_async_context(listening)


@asynccontextmanager
async def run(run_dir: Path) -> AsyncIterator[EmailService]:
    service = EmailService(MailServer(), run_dir)
    await service.start()
    try:
        yield service
    finally:
        await service.aclose()
        await service.stop()


def targets(*addresses: str, attempts: int = 1) -> list[Target]:
    """Devices whose first try, which only puts a message off, is behind them."""
    return [
        make_target(number, address, platform="email", attempts=attempts)
        for number, address in enumerate(addresses, start=1)
    ]
