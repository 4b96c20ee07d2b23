"""The SMTP relay that our mails go through: one connection, one mail at a time."""

import asyncio
import ssl
from contextlib import suppress

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from config.smtp import Server
from models.pushes import Target
from notifier.channels import CredentialsRefused, Troubles
from notifier.channels.batch import outcome_of
from notifier.channels.breaker import Breaker
from notifier.channels.email import outcomes
from notifier.channels.email.outcomes import SmtpPhase
from notifier.channels.email.refused_alike import RefusedAlike
from notifier.channels.operator_alarm import Alarm
from notifier.channels.route_health import Fault, RouteHealth
from notifier.outcome import ACCEPTED, RECOVERED, ChannelDown, Kind, Outcome

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


class Relay:
    """Sends mails one at a time; many tasks may wait for the connection."""

    def __init__(
        self,
        server: Server,
        troubles: Troubles,
        *,
        tls: ssl.SSLContext,
        own_name: str | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._server = server
        # In EHLO; None means the name of this host.
        self._own_name = own_name
        self._alarm = Alarm(f"email {server.host}", troubles)
        self._tls = tls
        self._breaker = breaker or Breaker()
        self._alike = RefusedAlike()
        # Members choose their addresses, and so what a server says about these.
        self._health = RouteHealth(is_by_choice=True)
        # Whether the last refusal was about us, whoever the recipient was.
        self._is_about_us = False
        self._lock = asyncio.Lock()
        self._smtp: SMTP | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._quitting: set[asyncio.Task[None]] = set()

    async def send(
        self, sender: str, recipient: str, mail: bytes, device: Target
    ) -> Outcome:
        """Send one mail to one recipient; the outcome is the server's reply.

        Raises ChannelDown when there is no reply, or an outage.
        """
        async with self._lock:
            try:
                if held := self._health.hold(device):
                    return held
                self._breaker.check()
                if self._breaker.is_open:
                    self._breaker.begin_probe()
                outcome = await self._try(sender, recipient, mail)
            except CredentialsRefused as refused:
                return outcome_of(refused)
            except ChannelDown as down:
                self._breaker.open_for_outage(down.reason, down.retry_after_s)
                raise
            except BaseException:
                # Cancelled in the middle of a command: the connection is unusable.
                self._drop_connection()
                raise
            reported = self._judge(device, outcome)
            refusal = self._breaker.refusal or self._health.refusal
            # A refusal that is no alarm does not end one either.
            if refusal is not None or outcome.kind is not Kind.CREDENTIALS:
                await self._alarm.update(refusal)
            return reported

    def _judge(self, device: Target, outcome: Outcome) -> Outcome:
        """Open or close the breaker; returns what to report about the device."""
        health = self._health
        if outcome.kind is not Kind.CREDENTIALS:
            self._breaker.close()
            if outcome.kind is Kind.ACCEPTED:
                outcome = RECOVERED if health.failing_among([device]) else ACCEPTED
                health.accept(device, is_sample=True)
                health.recover(device)
            return outcome
        if self._is_about_us:
            self._breaker.open_for_refusal(outcome.reason)
            return outcome
        reported = health.fail(
            device,
            Fault.REFUSAL,
            outcome,
            is_evidence=not health.is_doubtful(device),
        )
        if health.is_at_fault(Fault.REFUSAL):
            self._breaker.open_for_refusal(outcome.reason)
            health.forgive(Fault.REFUSAL)
        else:
            self._breaker.end_probe()
        return reported

    async def _try(self, sender: str, recipient: str, mail: bytes) -> Outcome:
        try:
            return await self._exchange(sender, recipient, mail)
        except _IdleConnectionLost:
            return await self._exchange(sender, recipient, mail)

    async def _exchange(self, sender: str, recipient: str, mail: bytes) -> Outcome:
        is_reused = self._smtp is not None
        phase: SmtpPhase = "connect"
        try:
            smtp = await self._connection()
            phase = "sender"
            await smtp.mail(sender)
            phase = "recipient"
            await smtp.rcpt(recipient)
            phase = "data"
            await smtp.data(mail, timeout=DATA_TIMEOUT_S)
        except SMTPResponseException as error:
            if isinstance(error, SMTPAuthenticationError):
                phase = "login"
            read = outcomes.read(phase, error.code, error.message)
            outcome = self._alike.judge(recipient, read)
            self._is_about_us = outcome != read or phase in ("login", "sender")
            if not outcomes.is_outage(phase, error.code):
                await self._reset()
                return outcome
            words = outcome.reason
        except (SMTPException, OSError) as error:
            words = _words(error)
            if _has_no_login(error):
                self._drop_connection()
                self._is_about_us = True
                return Outcome(Kind.CREDENTIALS, f"{self._server.host}: {words}")
        else:
            self._alike.forget()
            self._start_idle_timer()
            return ACCEPTED
        self._drop_connection()
        down = _IdleConnectionLost if is_reused and phase == "sender" else ChannelDown
        raise down(f"{self._server.host}: {words}")

    async def _connection(self) -> SMTP:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._smtp is not None and self._smtp.is_connected:
            return self._smtp
        server = self._server
        smtp = SMTP(
            hostname=server.host,
            port=server.port,
            # As bytes, because the library encodes text as ASCII.
            username=None if server.user is None else server.user.encode(),
            password=None if server.password is None else server.password.encode(),
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self._tls,
            timeout=COMMAND_TIMEOUT_S,
            local_hostname=self._own_name,
        )
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
            self._drop_connection()
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
        async with self._lock:
            smtp, self._smtp = self._smtp, None
            if smtp is None or not smtp.is_connected:
                return
            with suppress(SMTPException, OSError, TimeoutError):
                await smtp.quit(timeout=QUIT_TIMEOUT_S)
            smtp.close()

    def _drop_connection(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    async def close(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIT_TIMEOUT_S):
                await self._quit()
        self._drop_connection()


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
