"""A real SMTP server (aiosmtpd) that replies as told and keeps the mails."""

import asyncio
import email
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class ReceivedMail:
    """A mail that the server has accepted."""

    sender: str
    recipient: str
    mail: EmailMessage
    raw: bytes
    # Whether it came over TLS, and from which user.
    secured: bool
    user: str | None

    @property
    def plain(self) -> str:
        part = self.mail.get_body(("plain",))
        assert part is not None
        return str(part.get_content())

    @property
    def html(self) -> str:
        part = self.mail.get_body(("html",))
        assert part is not None
        return str(part.get_content())


@dataclass
class MailServer:
    """The server's state: the replies that a test sets, and what has arrived."""

    user: str | None = None
    password: str = ""
    tls: ssl.SSLContext | None = None
    inbox: list[ReceivedMail] = field(default_factory=list)
    # Replies in place of the usual ones: to MAIL, to RCPT by address, to the data.
    to_sender: str | None = None
    # The reply to the next MAIL only.
    to_next_sender: str | None = None
    to_recipient: dict[str, str] = field(default_factory=dict)
    to_data: str | None = None
    # Mails get a reply while it is set, and wait otherwise.
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    # Recipients of this domain get a reply while the gate is set, and only they wait.
    slow_domain: str | None = None
    # How many of them have waited.
    slow_waiting: int = 0
    # How often MAIL was received, and how many mails, accepted or not.
    senders: int = 0
    offered: int = 0
    logins: int = 0
    connections: list["SmtpSession"] = field(default_factory=list)
    port: int = 0
    # The name in the last EHLO.
    greeted_by: str = ""
    # The mechanisms of AUTH in place of the usual ones; "" offers none.
    logins_offered: str | None = None

    def url(
        self, scheme: str = "smtp", options: str = "", *, password: str | None = None
    ) -> str:
        login = f"{self.user}:{password or self.password}@" if self.user else ""
        return f"{scheme}://{login}localhost:{self.port}{options}"

    # -- what aiosmtpd calls

    async def handle_EHLO(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        self.greeted_by = hostname
        if self.logins_offered is None:
            return responses
        kept = [line for line in responses if not line.startswith("250-AUTH")]
        if self.logins_offered:
            kept.insert(1, f"250-AUTH {self.logins_offered}")
        return kept

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _: Any
    ) -> str:
        self.senders += 1
        reply, self.to_next_sender = self.to_next_sender or self.to_sender, None
        if reply is not None:
            return reply
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _: Any
    ) -> str:
        if address in self.to_recipient:
            return self.to_recipient[address]
        if self.slow_domain is not None and address.endswith(self.slow_domain):
            self.slow_waiting += 1
            await self.gate.wait()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.offered += 1
        if self.slow_domain is None:
            await self.gate.wait()
        if self.to_data is not None:
            return self.to_data
        raw = envelope.original_content or b""
        mail = email.message_from_bytes(raw, policy=POLICY)
        [recipient] = envelope.rcpt_tos
        assert isinstance(mail, EmailMessage)
        self.inbox.append(
            ReceivedMail(
                sender=envelope.mail_from or "",
                recipient=recipient,
                mail=mail,
                raw=raw,
                secured=server.transport.get_extra_info("sslcontext") is not None,
                user=session.auth_data,
            )
        )
        return "250 accepted"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, how: str, data: Any
    ) -> AuthResult:
        self.logins += 1
        assert isinstance(data, LoginPassword)
        user, password = data.login.decode(), data.password.decode()
        if (user, password) != (self.user, self.password):
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=user)


class SmtpSession(SMTP):
    """One connection to the server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        connections = self.event_handler.connections
        # STARTTLS calls this again on the same connection.
        if self not in connections:
            connections.append(self)


@asynccontextmanager
async def run(
    server: MailServer | None = None, *, implicit_tls: ssl.SSLContext | None = None
) -> AsyncIterator[MailServer]:
    """The server on the port it had before, or on a free one of the loopback."""
    server = server or MailServer()
    server.gate.set()
    loop = asyncio.get_running_loop()

    def session() -> SmtpSession:
        with warnings.catch_warnings():
            # aiosmtpd warns because it does not see the implicit TLS.
            warnings.simplefilter("ignore")
            return SmtpSession(
                server,
                hostname="mail.test",
                tls_context=server.tls,
                require_starttls=server.tls is not None,
                authenticator=server.authenticate,
                auth_required=server.user is not None,
                auth_require_tls=implicit_tls is None,
                loop=loop,
            )

    listening = await loop.create_server(
        session, "127.0.0.1", server.port, ssl=implicit_tls
    )
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.gate.set()
        for connection in server.connections:
            if connection.transport is not None:
                connection.transport.abort()
