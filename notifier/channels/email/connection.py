"""One connection to the SMTP server, which sends one mail after another."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from config.smtp import Server
from notifier.channels.email import outcomes
from notifier.channels.email.outcomes import SmtpPhase
from notifier.channels.email.refused_alike import RefusedAlike
from notifier.outcome import ACCEPTED, ChannelDown, Kind, Outcome

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
# RFC 5321 §4.5.3.2.6 gives a server ten minutes to reply to the end of a mail; a relay
# that needs more than one is overloaded.
DATA_TIMEOUT_S = 60.0
# Idle connections are closed, because relays limit their number.
IDLE_TIMEOUT_S = 15.0
QUIT_TIMEOUT_S = 2.0


class _IdleConnectionLost(ChannelDown):
    """The connection had ended before the mail began; a new one may work."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where the server is, and how to introduce ourselves."""

    server: Server
    tls: ssl.SSLContext
    # In EHLO; None means the name of this host.
    own_name: str | None = None

    def client(self, timeout_s: float) -> SMTP:
        """A client that is not connected yet; each command may take `timeout_s`."""
        server = self.server
        return SMTP(
            hostname=server.host,
            port=server.port,
            # As bytes, because the library encodes text as ASCII.
            username=None if server.user is None else server.user.encode(),
            password=None if server.password is None else server.password.encode(),
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self.tls,
            timeout=timeout_s,
            local_hostname=self.own_name,
        )


class Mail(NamedTuple):
    """One mail to one recipient."""

    sender: str
    recipient: str
    content: bytes


class MailConnection:
    """Connects when it has a mail, and again after an end; one mail at a time."""

    def __init__(self, access: Access, alike: RefusedAlike) -> None:
        self._access = access
        self._alike = alike
        # Whether the last refusal was about us, whoever the recipient was.
        self.is_about_us = False
        # Held while a mail is sent.
        self._busy = asyncio.Lock()
        self._smtp: SMTP | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._quitting: set[asyncio.Task[None]] = set()

    async def send(self, mail: Mail) -> Outcome:
        """The server's reply to one mail.

        Raises ChannelDown when there is no reply, or an outage. A call that is
        cancelled ends the connection.
        """
        async with self._busy:
            try:
                return await self._exchange(mail)
            except _IdleConnectionLost:
                return await self._exchange(mail)
            except asyncio.CancelledError:
                # In the middle of a command: the connection is unusable.
                self._drop()
                raise

    async def _exchange(self, mail: Mail) -> Outcome:
        is_reused = self._smtp is not None
        phase: SmtpPhase = "connect"
        try:
            smtp = await self._connection()
            phase = "sender"
            await smtp.mail(mail.sender)
            phase = "recipient"
            await smtp.rcpt(mail.recipient)
            phase = "data"
            await smtp.data(mail.content, timeout=DATA_TIMEOUT_S)
        except SMTPResponseException as error:
            if isinstance(error, SMTPAuthenticationError):
                phase = "login"
            read = outcomes.read(phase, error.code, error.message)
            outcome = self._alike.judge(mail.recipient, read)
            self.is_about_us = outcome != read or phase in ("login", "sender")
            if not outcomes.is_outage(phase, error.code):
                await self._reset()
                return outcome
            words = outcome.reason
        except (SMTPException, OSError) as error:
            words = _words(error)
            if _has_no_login(error):
                self._drop()
                self.is_about_us = True
                return Outcome(Kind.CREDENTIALS, f"{self._access.server.host}: {words}")
        else:
            self._alike.forget()
            self._start_idle_timer()
            return ACCEPTED
        self._drop()
        down = _IdleConnectionLost if is_reused and phase == "sender" else ChannelDown
        raise down(f"{self._access.server.host}: {words}")

    async def _connection(self) -> SMTP:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._smtp is not None and self._smtp.is_connected:
            return self._smtp
        smtp = self._access.client(COMMAND_TIMEOUT_S)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await smtp.connect()
        self._smtp = smtp
        return smtp

    async def _reset(self) -> None:
        """Prepare the connection for another mail after a refusal."""
        if self._smtp is None:
            return
        try:
            await self._smtp.rset()
        except (SMTPException, OSError):
            self._drop()
        else:
            self._start_idle_timer()

    def _start_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        loop = asyncio.get_running_loop()
        self._idle_timer = loop.call_later(IDLE_TIMEOUT_S, self._start_quit)

    def _start_quit(self) -> None:
        task = asyncio.create_task(self._quit())
        self._quitting.add(task)
        task.add_done_callback(self._quitting.discard)

    async def _quit(self) -> None:
        async with self._busy:
            smtp, self._smtp = self._smtp, None
            if smtp is None or not smtp.is_connected:
                return
            with suppress(SMTPException, OSError, TimeoutError):
                await smtp.quit(timeout=QUIT_TIMEOUT_S)
            smtp.close()

    def _drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    async def close(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIT_TIMEOUT_S):
                await self._quit()
        self._drop()


def _has_no_login(error: Exception) -> bool:
    """Whether the server offers no login at all, or none by name and password."""
    words = str(error)
    return isinstance(error, SMTPException) and (
        "AUTH extension" in words or "authentication method" in words
    )


def _words(error: Exception) -> str:
    """The first line of the error, short enough for a reason."""
    if isinstance(error, SMTPServerDisconnected):
        return "the connection was lost"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error).partition("\n")[0][:200] or type(error).__name__
