"""The SMTP relay that our mails go through: usually one connection, a mail at a time.

A relay may be slow about one domain, for instance because it asks that domain's server
while we wait. The mail keeps its connection then, and the others go on with a new one.
Until its domain is quick again, its mails have a connection of their own, one at a
time, and those that find it taken are tried later.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from config.smtp import Server
from models.pushes import Target
from notifier.channels import CredentialsRefused, Troubles
from notifier.channels.batch import outcome_of
from notifier.channels.breaker import Breaker
from notifier.channels.email.connection import Access, Mail, MailConnection
from notifier.channels.email.refused_alike import RefusedAlike
from notifier.channels.operator_alarm import Alarm
from notifier.channels.route_health import Fault, RouteHealth
from notifier.channels.shares import Rests, Shares
from notifier.outcome import ACCEPTED, RECOVERED, ChannelDown, Kind, Outcome

# A mail that takes longer than this is slow.
LATE_S = 5.0
# Connections beside the usual one, each with a slow mail, because relays limit their
# number; and those of domains that are known to be slow.
MOST_SLOW = 4
MOST_KNOWN_SLOW = 3
# Before a mail that found its share taken is tried again; the engine adds jitter.
BUSY_PAUSE_S = 5.0


class MailTurn:
    """The right to use the usual connection."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock: asyncio.Lock | None = lock

    def end(self) -> None:
        """Let the next mail begin; may be called twice."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class MailTurns:
    """Turns in the order in which they were asked for."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def next(self) -> AsyncIterator[MailTurn]:
        """Wait for a turn, which ends with the block, or earlier."""
        await self._lock.acquire()
        turn = MailTurn(self._lock)
        try:
            yield turn
        finally:
            turn.end()


class Relay:
    """Sends mails; many tasks may wait for the usual connection."""

    def __init__(
        self,
        server: Server,
        troubles: Troubles,
        *,
        tls: ssl.SSLContext,
        own_name: str | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._access = Access(server=server, tls=tls, own_name=own_name)
        self._alarm = Alarm(f"email {server.host}", troubles)
        self._breaker = breaker or Breaker()
        self._alike = RefusedAlike()
        # Members choose their addresses, and so what a server says about these.
        self._health = RouteHealth(is_by_choice=True)
        # Of mails on the usual connection.
        self._turns = MailTurns()
        self._usual = self._new_connection()
        # Domains that were slow, and what they hold.
        self._slow = Rests()
        self._shares = Shares()
        # How many mails the server has replied to.
        self._replies = 0
        self._closing: set[asyncio.Task[None]] = set()

    def _new_connection(self) -> MailConnection:
        return MailConnection(self._access, self._alike)

    async def send(self, mail: Mail, device: Target) -> Outcome:
        """Send one mail to one recipient; the outcome is the server's reply.

        Raises ChannelDown when there is no reply, or an outage.
        """
        domain = mail.recipient.rpartition("@")[2].lower()
        if not self._slow.is_suspect(domain):
            async with self._turns.next() as turn:
                # It may have turned out to be slow while this mail waited.
                if not self._slow.is_suspect(domain):
                    return await self._send_usually(turn, domain, mail, device)
        return await self._send_apart(domain, mail, device)

    async def _send_usually(
        self, turn: MailTurn, domain: str, mail: Mail, device: Target
    ) -> Outcome:
        connection = self._usual
        loop = asyncio.get_running_loop()
        late = loop.call_later(LATE_S, self._make_way, turn, domain)
        try:
            replies = self._replies
            return await self._push(connection, mail, device)
        except ChannelDown as down:
            if self._replies == replies:
                self._breaker.open_for_outage(down.reason, down.retry_after_s)
                await self._alarm.update(down.reason, is_outage=True)
                raise
            # No outage, because other mails were replied to meanwhile.
            return Outcome(Kind.LATER, down.reason, self._slow.silent(domain))
        finally:
            late.cancel()
            if connection is not self._usual:
                self._shares.give_back(_slow_ones(domain, MOST_SLOW))
                self._close(connection)

    def _make_way(self, turn: MailTurn, domain: str) -> None:
        """The mail is slow: others go on, if there may be another connection."""
        self._slow.suspect(domain)
        if self._shares.take(_slow_ones(domain, MOST_SLOW)):
            self._usual = self._new_connection()
            turn.end()

    async def _send_apart(self, domain: str, mail: Mail, device: Target) -> Outcome:
        """Send to a domain that was slow, on a connection of its own."""
        if (rest_s := self._slow.left_s(domain)) > 0:
            return _later(f"{domain}: no reply lately", rest_s)
        loop = asyncio.get_running_loop()
        with self._shares.hold(_slow_ones(domain, MOST_KNOWN_SLOW)) as has_share:
            if not has_share:
                return _later(f"{domain}: other mails are under way", BUSY_PAUSE_S)
            connection, began_at = self._new_connection(), loop.time()
            try:
                outcome = await self._push(connection, mail, device)
            except ChannelDown as down:
                # Mails to other domains tell whether it is an outage.
                return Outcome(Kind.LATER, down.reason, self._slow.silent(domain))
            finally:
                self._close(connection)
            if loop.time() < began_at + LATE_S:
                self._slow.answered(domain)
            return outcome

    async def _push(
        self, connection: MailConnection, mail: Mail, device: Target
    ) -> Outcome:
        if held := self._health.hold(device):
            return held
        try:
            self._breaker.check()
        except CredentialsRefused as refused:
            return outcome_of(refused)
        if self._breaker.is_open:
            self._breaker.begin_probe()
        outcome = await connection.send(mail)
        self._replies += 1
        reported = self._judge(device, outcome, is_about_us=connection.is_about_us)
        await self._alarm.end_outage()
        refusal = self._breaker.refusal or self._health.refusal
        # A refusal that is no alarm does not end one either.
        if refusal is not None or outcome.kind is not Kind.CREDENTIALS:
            await self._alarm.update(refusal)
        return reported

    def _judge(self, device: Target, outcome: Outcome, *, is_about_us: bool) -> Outcome:
        """Open or close the breaker; returns what to report about the device."""
        health = self._health
        if outcome.kind is not Kind.CREDENTIALS:
            self._breaker.close()
            if outcome.kind is Kind.ACCEPTED:
                outcome = RECOVERED if health.failing_among([device]) else ACCEPTED
                health.accept(device, is_sample=True)
                health.recover(device)
            return outcome
        if is_about_us:
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

    def _close(self, connection: MailConnection) -> None:
        # Not awaited: its mail has its outcome.
        task = asyncio.create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        await asyncio.gather(self._usual.close(), *self._closing)


def _slow_ones(domain: str, most: int) -> dict[Hashable, int]:
    """What a slow mail holds, and the limits."""
    return {"": most, domain: 1}


def _later(reason: str, pause_s: float) -> Outcome:
    return Outcome(Kind.LATER, reason, pause_s, tried=False)
