"""The SMTP server that takes our mails: one connection, for one mail after another."""

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
from notifier.channels import CredentialsRefused, Troubles
from notifier.channels.alarm import Alarm
from notifier.channels.breaker import Breaker
from notifier.channels.email import outcomes
from notifier.channels.email.outcomes import Stage
from notifier.outcome import ACCEPTED, ChannelDown, Kind, Outcome

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
# RFC 5321 §4.5.3.2.6 gives a server ten minutes for its last word on a mail; a relay
# that needs more than one is in trouble.
DATA_TIMEOUT_S = 60.0
# A connection nobody uses is given back: relays count them.
IDLE_S = 15.0
GOODBYE_S = 2.0


class _Stale(ChannelDown):
    """The connection had ended before the mail began; another one may do."""


class Relay:
    """Hands in mails one at a time; many tasks may wait for their turn."""

    def __init__(
        self,
        server: Server,
        troubles: Troubles,
        *,
        tls: ssl.SSLContext,
        breaker: Breaker | None = None,
    ) -> None:
        self.name = f"email {server.host}"[:200]
        self._server = server
        self._alarm = Alarm(self.name, troubles)
        self._tls = tls
        self._breaker = breaker or Breaker()
        self._turn = asyncio.Lock()
        self._smtp: SMTP | None = None
        self._goodbye: asyncio.TimerHandle | None = None
        self._parting: set[asyncio.Task[None]] = set()

    async def hand_in(self, sender: str, recipient: str, mail: bytes) -> Outcome:
        """The server's verdict on one mail for one recipient.

        Raises ChannelDown when there is none.
        """
        async with self._turn:
            try:
                self._breaker.check()
                if self._breaker.is_open:
                    self._breaker.begin_probe()
                outcome = await self._try(sender, recipient, mail)
            except CredentialsRefused as refused:
                reason, pause_s = str(refused), refused.retry_after_s
                return Outcome(Kind.CREDENTIALS, reason, pause_s)
            except ChannelDown as down:
                self._breaker.down(down.reason, down.retry_after_s)
                raise
            except BaseException:
                # Cut off in the middle of a command: nobody knows what comes next.
                self._hang_up()
                raise
            if outcome.kind is Kind.CREDENTIALS:
                self._breaker.refused(outcome.reason)
            else:
                self._breaker.close()
            await self._alarm.tell(self._breaker.refusal)
            return outcome

    async def _try(self, sender: str, recipient: str, mail: bytes) -> Outcome:
        try:
            return await self._exchange(sender, recipient, mail)
        except _Stale:
            return await self._exchange(sender, recipient, mail)

    async def _exchange(self, sender: str, recipient: str, mail: bytes) -> Outcome:
        is_reused = self._smtp is not None
        stage: Stage = "connect"
        try:
            smtp = await self._connection()
            stage = "sender"
            await smtp.mail(sender)
            stage = "recipient"
            await smtp.rcpt(recipient)
            stage = "data"
            await smtp.data(mail, timeout=DATA_TIMEOUT_S)
        except SMTPResponseException as error:
            if isinstance(error, SMTPAuthenticationError):
                stage = "login"
            outcome = outcomes.read(stage, error.code, error.message)
            if not outcomes.is_outage(stage, error.code):
                await self._reset()
                return outcome
            words = outcome.reason
        except (SMTPException, OSError) as error:
            words = _words(error)
        else:
            self._stay_a_while()
            return ACCEPTED
        self._hang_up()
        down = _Stale if is_reused and stage == "sender" else ChannelDown
        raise down(f"{self._server.host}: {words}")

    async def _connection(self) -> SMTP:
        if self._goodbye is not None:
            self._goodbye.cancel()
        if self._smtp is not None and self._smtp.is_connected:
            return self._smtp
        server = self._server
        smtp = SMTP(
            hostname=server.host,
            port=server.port,
            # As bytes: the library takes characters for ASCII only.
            username=None if server.user is None else server.user.encode(),
            password=None if server.password is None else server.password.encode(),
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self._tls,
            timeout=COMMAND_TIMEOUT_S,
        )
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await smtp.connect()
        self._smtp = smtp
        return smtp

    async def _reset(self) -> None:
        """Make the connection ready for another mail after a refusal."""
        if self._smtp is None:
            return
        try:
            await self._smtp.rset()
        except (SMTPException, OSError):
            self._hang_up()
        else:
            self._stay_a_while()

    def _stay_a_while(self) -> None:
        if self._goodbye is not None:
            self._goodbye.cancel()
        loop = asyncio.get_running_loop()
        self._goodbye = loop.call_later(IDLE_S, self._begin_goodbye)

    def _begin_goodbye(self) -> None:
        task = asyncio.create_task(self._say_goodbye())
        self._parting.add(task)
        task.add_done_callback(self._parting.discard)

    async def _say_goodbye(self) -> None:
        async with self._turn:
            smtp, self._smtp = self._smtp, None
            if smtp is None or not smtp.is_connected:
                return
            with suppress(SMTPException, OSError, TimeoutError):
                await smtp.quit(timeout=GOODBYE_S)
            smtp.close()

    def _hang_up(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    async def close(self) -> None:
        if self._goodbye is not None:
            self._goodbye.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._say_goodbye()
        self._hang_up()


def _words(error: Exception) -> str:
    """The first line of the library's or the system's words."""
    if isinstance(error, SMTPServerDisconnected):
        return "the connection was lost"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error).partition("\n")[0][:200] or type(error).__name__
